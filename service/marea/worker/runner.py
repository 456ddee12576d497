"""Runs one delivery in a child process: the procedure of `lifecycle.process` on real ports.

Knows no broker: `tasks.py` hands it a message's text and acknowledges when it returns.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded

from marea.errors import LedgerUnavailable, PermanentError, TransientError
from marea.lifecycle import effects as fx
from marea.lifecycle.claim import owner_name
from marea.lifecycle.process import Outcome, WorkContext, process_job
from marea.messages.job import Job
from marea.perform import Observer, Performer, Ports
from marea.queues.names import QUARANTINE_POOL
from marea.settings import Settings
from marea.wiring import build_declarations, build_place, build_policy, build_ports
from marea.worker.limits import job_limits

log = structlog.get_logger("marea.worker")

LEDGER_EFFECTS = (fx.LoadState, fx.SaveState, fx.ReadWorker)
LEDGER_WAIT_MAX_S = 5.0
"""Longest pause between two tries to reach the ledger; arbitrary, a slot is held meanwhile."""


class WorkerPerformer(Performer):
    """Adds what only a worker's child needs: limits, patience with the ledger, soft limit."""

    def __init__(self, ports: Ports, settings: Settings, observe: Observer | None = None) -> None:
        super().__init__(ports, observe)
        self._worker = settings.worker

    def perform(self, effect: fx.Effect[Any]) -> Any:
        if isinstance(effect, fx.RunPipeline):
            return self._run_pipeline(effect)
        try:
            if isinstance(effect, LEDGER_EFFECTS):
                return self._patiently(lambda: super(WorkerPerformer, self).perform(effect))
            return super().perform(effect)
        except SoftTimeLimitExceeded as exc:
            if isinstance(effect, LEDGER_EFFECTS):
                # Nothing can be decided, not even a postponement: the message goes back.
                raise LedgerUnavailable("the ledger stayed away for a whole job's time") from exc
            raise TransientError(
                f"time ran out in {type(effect).__name__}, not in the pipeline; trying again",
                code="time-ran-out",
            ) from exc

    def _run_pipeline(self, effect: fx.RunPipeline) -> Any:
        try:
            with job_limits(self._worker.memory_limit_bytes, self._worker.hard_time_limit_s):
                return super().perform(effect)
        except SoftTimeLimitExceeded as exc:
            raise PermanentError(
                f"the pipeline took longer than {self._worker.soft_time_limit_s:g} s; use a"
                " smaller file or raise MAREA_WORKER__SOFT_TIME_LIMIT_S",
                code="time-limit",
            ) from exc
        except MemoryError as exc:
            raise PermanentError(
                "the pipeline needed more memory than"
                f" {self._worker.memory_limit_bytes / 2**20:.0f} MiB; use a smaller file or"
                " raise MAREA_WORKER__MEMORY_LIMIT_BYTES",
                code="out-of-memory",
            ) from exc

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Wait for the ledger: without it nothing may be decided, and giving the message
        back would spend the broker's delivery limit. The soft time limit ends the wait."""
        pause_s = 0.1
        while True:
            try:
                return call()
            except LedgerUnavailable as exc:
                log.warning("waiting for the ledger", reason=str(exc), pause_s=pause_s)
                self.ports.clock.sleep(pause_s)
                pause_s = min(LEDGER_WAIT_MAX_S, pause_s * 2)


class Runner:
    """Processes deliveries one after the other, in one child."""

    def __init__(
        self, ports: Ports, settings: Settings, worker: str, *, observe: Observer | None = None
    ) -> None:
        self._performer = WorkerPerformer(ports, settings, observe)
        self._worker = worker
        self._in_quarantine = settings.worker.pool == QUARANTINE_POOL
        self._policy = build_policy(settings)
        self._place = build_place(settings)

    def run(self, job_json: str) -> Outcome:
        """Process one message. Returning means: acknowledge it.

        Raises `TransientError` when the message must go back to the broker.
        """
        ports = self._performer.ports
        try:
            job = Job.from_json(job_json)
        except ValueError as exc:
            ports.ledger.note("undecodable-messages", {"body": job_json[:2000], "why": str(exc)})
            log.error("message dropped", reason=str(exc))
            return Outcome("dropped", "message-malformed", str(exc))
        context = WorkContext(
            owner=owner_name(self._worker, secrets.token_hex(4)),
            in_quarantine=self._in_quarantine,
            policy=self._policy,
            place=self._place,
            pipelines=ports.pipelines,
        )
        began = ports.clock.now()
        try:
            outcome = self._performer.run(process_job(job, context))
        except SoftTimeLimitExceeded as exc:  # hit between two effects
            raise TransientError("time ran out between two steps", code="time-ran-out") from exc
        log.info(
            "job " + outcome.event,
            job_id=job.id,
            key=job.ref.key,
            pipeline=job.pipeline,
            code=outcome.code,
            reason=outcome.reason,
            seconds=round(ports.clock.now() - began, 3),
        )
        return outcome


def build_runner(settings: Settings, worker: str) -> Runner:
    """A runner on real ports; called once in every child, after the fork."""
    declarations = build_declarations(settings)
    return Runner(build_ports(settings, declarations.pipelines), settings, worker)
