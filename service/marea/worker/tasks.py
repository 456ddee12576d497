"""The one Celery task, and what a prefork child keeps between two of its jobs.

The `Runner` decides what becomes of a job, and returning means acknowledge. It also waits for
a ledger that is away, with the message in its hand; what still comes out of it as
`TransientError` sends the message back, after a pause: each return counts towards RabbitMQ's
delivery limit, and without the pause would spin on Redis.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from celery import Celery
from celery.exceptions import Reject, SoftTimeLimitExceeded

from marea.clock import Clock
from marea.errors import TransientError
from marea.settings import Settings
from marea.worker.limits import limit_child

log = structlog.get_logger("marea.worker")


class Runner(Protocol):
    """Runs one delivery from claim to ledger."""

    def run(self, job_json: str) -> object:
        """Return when the message may be acknowledged; raise `TransientError` when nothing
        could be decided and it must go back."""
        ...


BuildRunner = Callable[[Settings, str], Runner]
"""From the settings and the worker's id; called in the child, for clients do not survive a
fork."""


class Child:
    """Lives from a child's fork to its end. Made in the parent, empty until `open`."""

    def __init__(
        self, settings: Settings, worker: str, build_runner: BuildRunner, clock: Clock
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._build_runner = build_runner
        self._clock = clock
        self._runner: Runner | None = None
        self._returned = 0

    def open(self, **_: Any) -> None:
        """After the fork: a process group of its own, limits, clients."""
        # A supervisor's or terminal's signal to the whole group is meant for the parent,
        # which lets the children finish. They still die with it (PR_SET_PDEATHSIG).
        os.setpgid(0, 0)
        limit_child()
        try:
            self._require_runner()
        except TransientError as exc:
            log.error("child not ready, tries again with its first job", reason=str(exc))

    def run(self, job_json: str) -> None:
        """One delivery. Raises `Reject` (requeue) when the message must go back."""
        try:
            try:
                self._require_runner().run(job_json)
            except TransientError as exc:
                self._clock.sleep(self._next_pause_s())
                raise Reject(str(exc), requeue=True) from exc
        except SoftTimeLimitExceeded as exc:
            # Hit outside the runner, which answers for the job in its own time.
            raise Reject("the time limit came between two jobs", requeue=True) from exc
        self._returned = 0

    def _next_pause_s(self) -> float:
        """Doubles with each message returned in a row, and stays within a job's time."""
        settings = self._settings.worker
        longest_s = min(settings.retry_backoff_max_s, settings.soft_time_limit_s / 2)
        self._returned += 1
        return min(longest_s, settings.retry_backoff_s * 2.0 ** min(self._returned - 1, 30))

    def _require_runner(self) -> Runner:
        if self._runner is None:
            try:
                self._runner = self._build_runner(self._settings, self._worker)
            except Exception as exc:
                # Whatever keeps a child from working is no fault of the job it was given.
                raise TransientError(f"no runner: {type(exc).__name__}: {exc}") from exc
        return self._runner


def register_task(app: Celery, name: str, child: Child, request_class: type[Any]) -> None:
    """Make `name` run in `child`, with `request_class` watching it from the parent."""

    def process_job(job_json: str) -> None:
        child.run(job_json)

    app.task(process_job, name=name, Request=request_class)
