"""The `Intake` of a real gateway: the lifecycle's procedures on real ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marea.errors import BrokerUnavailable
from marea.gateway.ports import Submission
from marea.gateway.rounds import ROUND_JOBS
from marea.lifecycle.accept import accept_jobs, plan_with_facts
from marea.lifecycle.commands import cancel_job, run_again, submit_job
from marea.lifecycle.effects import ReadObject
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.messages.record import Record
from marea.perform import Performer
from marea.routing.route import Plan, UploadFacts
from marea.routing.table import RouteTable


class LifecycleIntake:
    """Thread-safe if the performer's ports are."""

    def __init__(
        self, performer: Performer, rules: RouteTable, place: Place, policy: Policy
    ) -> None:
        self._performer = performer
        self._rules = rules
        self._place = place
        self._policy = policy

    def plan(self, facts: UploadFacts) -> Plan:
        return self._performer.run(plan_with_facts(facts, self._rules.plan))

    def accept(self, jobs: Sequence[Job]) -> Mapping[str, bool]:
        confirmed: dict[str, bool] = {}
        for start in range(0, len(jobs), ROUND_JOBS):
            chunk = jobs[start : start + ROUND_JOBS]
            confirmed.update(self._performer.run(accept_jobs(chunk, self._policy)))
        return confirmed

    def submit(self, submission: Submission) -> JobState:
        job = Job(
            ref=submission.ref,
            pipeline=submission.pipeline,
            pool=self._performer.ports.pipelines[submission.pipeline].pool,
            priority=submission.priority,
            tenant=submission.tenant,
            not_before=submission.not_before,
            origin="api",
        )
        row, is_confirmed = self._performer.run(submit_job(job, self._place, self._policy))
        if not is_confirmed or row is None:
            raise _unconfirmed(job.id)
        return row

    def cancel(self, state: JobState) -> JobState:
        return self._performer.run(cancel_job(state, self._place)) or state

    def replay(self, state: JobState) -> JobState:
        row = self._performer.run(run_again(state.job, "replay", self._place, self._policy))
        if row is None:
            raise _unconfirmed(state.job.id)
        return row

    def record(self, job: Job) -> Record | None:
        body = self._performer.perform(
            ReadObject(self._place.results_bucket, self._place.record_key(job))
        )
        try:
            return Record.from_json(body.data) if body is not None else None
        except ValueError:
            return None  # bytes that are no record are replaced by the job's end, never believed


def _unconfirmed(job_id: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"the broker did not confirm job {job_id}; it is kept and will be published when the"
        " broker is back, or ask again"
    )
