"""How work enters: from an upload (event or sweep), from the API, or again by command.

    row created (accepted) ─▶ published, confirmed ─▶ row marked queued

A crash after the first step leaves an `accepted` row that the reconciler publishes; before
it, nothing was promised to anybody, and the sweep finds the version. Only a confirmed
publish may be answered with a 2xx.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from marea.errors import ObjectGone
from marea.lifecycle.effects import (
    HeadVersion,
    LoadState,
    LoadWithTenants,
    PublishMany,
    ReadClock,
    ReadTags,
    SaveStates,
    Steps,
    ask,
)
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.job import Job, Mode, Origin
from marea.routing.route import Plan, UploadFacts

Planner = Callable[[UploadFacts], Plan]


def plan_with_facts(facts: UploadFacts, plan: Planner) -> Steps[Plan]:
    """Plan; ask the store for what the event or listing left unsaid, only if it matters."""
    answer = plan(facts)
    if answer.outcome != "needs-facts":
        return answer
    if answer.missing & {"content_type", "user_metadata"}:
        head = yield from ask(HeadVersion(facts.ref))
        if head is None:
            return Plan("ignored", "the version is no longer in the bucket")
        facts = replace(facts, content_type=head.content_type, user_metadata=head.metadata)
    if "tags" in answer.missing:
        try:
            tags = yield from ask(ReadTags(facts.ref))
        except ObjectGone:
            return Plan("ignored", "the version is no longer in the bucket")
        facts = replace(facts, tags=tags)
    return plan(facts)


def accept_jobs(jobs: Sequence[Job], policy: Policy) -> Steps[dict[str, bool]]:
    """Make sure that each job is on its way or over; which could be made sure of.

    Jobs that wait (not before, tenant quota) are on their way: the ledger holds them and
    the reconciler publishes them.
    """
    if not jobs:
        return {}
    confirmed: dict[str, bool] = {}
    pending = {job.id: job for job in jobs}
    to_publish: list[JobState] = []
    while pending:
        now = yield from ask(ReadClock())
        tenants = {job.tenant for job in pending.values()}
        rows, loads = yield from ask(LoadWithTenants(tuple(pending), tuple(sorted(tenants))))
        changes: list[JobState] = []
        for job_id, job in list(pending.items()):
            row = rows.get(job_id)
            change = _opening(row, job, loads, now, policy)
            if change is not None:
                changes.append(change)
                continue
            del pending[job_id]
            if row is not None and row.phase == "accepted":
                to_publish.append(row)  # an earlier try was not confirmed, or is under way
            else:
                confirmed[job_id] = True
        for wanted, saved in zip(
            changes, (yield from ask(SaveStates(tuple(changes)))) if changes else [], strict=True
        ):
            if saved is None:
                continue  # somebody else changed the row: look again
            del pending[wanted.job.id]
            if saved.phase == "accepted":
                to_publish.append(saved)
            else:
                confirmed[wanted.job.id] = True
    confirmed.update((yield from publish_rows(to_publish)))
    return confirmed


def _opening(
    row: JobState | None, job: Job, loads: dict[str, int], now: float, policy: Policy
) -> JobState | None:
    """The row to save so that `job` gets under way; None if the row needs no change."""
    if row is not None and not row.is_terminal:
        return None
    if row is not None and job.mode == "normal":
        if job.ref.is_versioned:
            return None  # over: this is a duplicate of an event
        job = job.in_mode("refresh", job.origin)  # the old content may have come back
    fresh = JobState(
        job=job, phase="accepted", rev=row.rev if row else 0, created_at=now, updated_at=now
    )
    if job.not_before > now:
        return fresh.but(phase="delayed", due_at=job.not_before)
    if loads.get(job.tenant, 0) >= policy.tenant_quota:
        return fresh.but(phase="waiting")
    loads[job.tenant] = loads.get(job.tenant, 0) + 1
    return fresh.but(published_at=now)


def publish_rows(rows: Sequence[JobState]) -> Steps[dict[str, bool]]:
    """Publish `accepted` rows and mark the confirmed ones `queued`; which were confirmed."""
    if not rows:
        return {}
    replies = yield from ask(
        PublishMany(tuple(row.job for row in rows), tuple(row.is_quarantined for row in rows))
    )
    now = yield from ask(ReadClock())
    marks = tuple(
        row.but(
            phase="queued",
            publishes=row.publishes + 1,
            updated_at=now,
            published_at=row.published_at or now,
        )
        for row, reply in zip(rows, replies, strict=True)
        if reply
    )
    if marks:
        # A lost race here means that a worker was quicker: the row is running, or over.
        yield from ask(SaveStates(marks))
    return {row.job.id: reply for row, reply in zip(rows, replies, strict=True)}


def reopen_job(job: Job, mode: Mode, origin: Origin, policy: Policy) -> Steps[JobState | None]:
    """Run an ended job again in `mode`; its row, or None if the broker did not confirm.

    A job that is still open is left as it is.
    """
    again = job.in_mode(mode, origin)
    confirmed = yield from accept_jobs([again], policy)
    row = yield from ask(LoadState(job.id))
    return row if confirmed[job.id] else None
