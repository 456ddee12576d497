"""Tells the ledger of jobs whose child died while the parent lived: they are charged.

In a thread, because the event loop that learns of the death must not wait for the network.
Children are forked while it runs and use none of it. A parent that dies before it has written
a loss leaves a running row whose owner is dead: the reconciler finds that.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from marea.clock import Clock
from marea.errors import LedgerUnavailable
from marea.lifecycle.drive import drive
from marea.lifecycle.effects import Effect, LoadState, ReadClock, SaveState
from marea.lifecycle.loss import charge_loss
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.notification import Notification

log = structlog.get_logger("marea.worker")

LEDGER_RETRY_S = 1.0
"""Between tries to tell the ledger of a loss; the ledger's own timeout comes on top."""


class LossLedger(Protocol):
    """The part of the ledger in which losses are written."""

    def load(self, job_id: str) -> JobState | None: ...

    def save(
        self, state: JobState, notifications: Sequence[Notification] = ()
    ) -> JobState | None: ...


@dataclass(frozen=True, slots=True)
class Loss:
    """A job whose child died under it; see `request.loss_cause`."""

    job_id: str
    code: str
    reason: str


class LossReporter:
    """Charges losses in the ledger, one after another, until the ledger has taken each."""

    def __init__(self, charge: Callable[[Loss], None], clock: Clock) -> None:
        self._charge = charge
        self._clock = clock
        self._losses: queue.SimpleQueue[Loss | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="losses", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def report(self, job_id: str, code: str, reason: str) -> None:
        """Note a loss; returns at once."""
        log.error("job lost its process", job_id=job_id, code=code, reason=reason)
        self._losses.put(Loss(job_id, code, reason))

    def finish(self, timeout_s: float) -> bool:
        """Wait for what is yet to be written; whether all was. What was not is found by the
        reconciler as a running job whose worker is gone."""
        self._losses.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _write_all(self) -> None:
        while (loss := self._losses.get()) is not None:
            while True:
                try:
                    self._charge(loss)
                except LedgerUnavailable:
                    self._clock.sleep(LEDGER_RETRY_S)
                    continue
                except Exception:  # the loop of a thread: the next loss must be written too
                    log.exception("loss not charged", job_id=loss.job_id)
                break


def build_charge(
    ledger: LossLedger, clock: Clock, policy: Policy, worker: str
) -> Callable[[Loss], None]:
    """How this worker charges a loss: with the ledger and the clock, and never the store,
    whose slow answers would outlast the lease."""

    def perform(effect: Effect[Any]) -> Any:
        match effect:
            case ReadClock():
                return clock.now()
            case LoadState(job_id):
                return ledger.load(job_id)
            case SaveState(changed, notifications):
                return ledger.save(changed, notifications)
            case _:
                raise TypeError(f"a parent does not perform {type(effect).__name__}")

    def charge(loss: Loss) -> None:
        row = drive(charge_loss(loss.job_id, worker, loss.code, loss.reason, policy), perform)
        log.info("loss charged", job_id=loss.job_id, phase=row.phase if row else "not ours")

    return charge
