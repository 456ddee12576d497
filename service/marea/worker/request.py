"""Celery's view of one delivered message, extended by what Marea does when its child dies.

Runs in the parent, inside its event loop, so nothing here may block or touch the network: a
loss goes to the `LossReporter`'s thread. The message is acknowledged in each of these cases;
the ledger's row carries the job on. A parent that dies before the loss is written leaves a
running row whose owner is dead, which the reconciler finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Ignore, Reject, Retry, Terminated, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from marea.clock import Clock

_SIGNAL = re.compile(r"signal (\d+) \((SIG\w+)\)")


class Losses(Protocol):
    """Takes note of jobs whose child is gone; returns at once."""

    def report(self, job_id: str, code: str, reason: str) -> None: ...


def build_request_class(
    losses: Losses,
    on_settled: Callable[[], None],
    clock: Clock,
    on_runtime: Callable[[float], None],
) -> type[Any]:
    """The `Request` for `app.task(Request=…)`. `on_settled` is called at each acknowledgement
    and each return of a message, `on_runtime` with the seconds that each job took
    from its child's word that it begins to the acknowledgement."""

    class JobRequest(Request):  # type: ignore[misc]  # Celery is untyped
        """One delivery of one job; `id` is the job's id."""

        _is_loss_reported = False

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.received_at = clock.now()

        def on_timeout(self, soft: bool, timeout: float) -> None:
            if not soft:
                self._report_loss("time-limit", f"it ran into the hard time limit of {timeout:g} s")
            super().on_timeout(soft, timeout)

        def on_failure(
            self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
        ) -> None:
            error = exc_info.exception
            if isinstance(error, ExceptionWithTraceback):
                error = error.exc
            if isinstance(error, Reject | Ignore | Retry | Terminated) or self._already_cancelled:
                super().on_failure(exc_info, send_failed_event, return_ok)
                return
            if state.should_terminate not in (None, False):
                # A cold shutdown kills the children itself: no loss of theirs. Neither is it
                # acknowledged, as Celery would: the broker gives it to another worker.
                state.task_ready(self)
                return
            self._report_loss(*loss_cause(error, self.time_limits[0] or self.task.time_limit))
            if isinstance(error, MemoryError):
                # Celery raises it again here, in the parent, and so ends every sibling.
                state.task_ready(self)
                self.acknowledge()
                return
            super().on_failure(exc_info, send_failed_event, return_ok)

        def acknowledge(self) -> None:
            super().acknowledge()
            if self.time_start:
                on_runtime(clock.now() - self.time_start)
            on_settled()

        def reject(self, requeue: bool = False) -> None:
            super().reject(requeue=requeue)
            on_settled()

        def _report_loss(self, code: str, reason: str) -> None:
            # billiard tells of a hard limit twice, by on_failure and by on_timeout.
            if not self._is_loss_reported:
                self._is_loss_reported = True
                losses.report(self.id, code, reason)

    return JobRequest


def loss_cause(error: BaseException, hard_time_limit_s: float | None = None) -> tuple[str, str]:
    """A stable code and a sentence for what took the child, or came out of it."""
    if isinstance(error, TimeLimitExceeded):
        limit = f" of {hard_time_limit_s:g} s" if hard_time_limit_s else ""
        return "time-limit", f"it ran into the hard time limit{limit}"
    if isinstance(error, WorkerLostError):
        match = _SIGNAL.search(str(error))
        if match is None:
            return "child-exited", f"the process running it ended early ({error})"
        number, name = match.groups()
        if name == "SIGXCPU":
            return "cpu-limit", "it used up its processor time"
        hint = "; most often memory ran out" if name == "SIGKILL" else ""
        return "child-killed", f"the process running it was killed by {name} ({number}){hint}"
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return "child-exited", f"the process running it ended early ({error!r})"
    if isinstance(error, MemoryError):
        return "memory-limit", "the process running it could not get the memory it needed"
    return "worker-error", f"an error that is Marea's own: {type(error).__name__}: {error}"[:500]
