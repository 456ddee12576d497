"""What the parent process of a pool does beside Celery: it says that it lives, and looks at
the broker from outside the event loop.

Each in a thread of its own: neither may stall the loop or the other, and both must go on
while the loop cannot turn (it blocks while the broker is sought). Children are forked while
these threads run: a child uses none of these objects, not even to close them.

    started ──first beat saved──▶ beating ──warm shutdown──▶ draining ──pool finished──▶ forgotten
                                   │  ▲
                       loop wedged ▼  │ loop turns again
                                  silent: the lease ends, the reconciler takes the jobs over
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from celery.worker import state

from marea.clock import Clock
from marea.errors import LedgerUnavailable, TransientError
from marea.lifecycle.state import WorkerBeat
from marea.worker.drain import DrainLease
from marea.worker.liveness import DEFAULT_MAX_AGE_S, LivenessReport, Pulse, write_liveness

log = structlog.get_logger("marea.worker")


class BeatLedger(Protocol):
    """The part of the ledger that heartbeats need."""

    def beat(self, beat: WorkerBeat) -> float: ...

    def forget_worker(self, worker: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Workload:
    """Ids of the jobs that children are running, and how many messages are held in all."""

    active: tuple[str, ...] = ()
    held: int = 0


def read_workload() -> Workload:
    """What Celery holds now. Its sets change under the event loop's thread meanwhile, which
    Python reports as RuntimeError; the next look succeeds."""
    for _ in range(100):
        try:
            return Workload(
                tuple(request.id for request in state.active_requests),
                len(state.reserved_requests),
            )
        except RuntimeError:
            continue
    raise RuntimeError("Celery's set of active requests kept changing")


class Heartbeats:
    """Saves the worker's sign of life each `heartbeat_s`, and writes the liveness file."""

    def __init__(
        self,
        ledger: BeatLedger,
        clock: Clock,
        pulse: Pulse,
        *,
        worker: str,
        pool: str,
        slots: int,
        heartbeat_s: float,
        lease_s: float,
        wedged_after_s: float = DEFAULT_MAX_AGE_S,
        liveness_file: Path | None = None,
        workload: Callable[[], Workload] = read_workload,
        lease: DrainLease | None = None,
    ) -> None:
        self._ledger = ledger
        self._lease = lease or DrainLease()
        self._clock = clock
        self._pulse = pulse
        self._worker, self._pool, self._slots = worker, pool, slots
        self._heartbeat_s, self._lease_s = heartbeat_s, lease_s
        self._wedged_after_s = wedged_after_s
        self._liveness_file = liveness_file
        self._workload = workload
        self._started_at = clock.now()
        self._is_draining = False
        self._trouble = ""
        self._wake = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="heartbeats", daemon=True)

    def start(self) -> None:
        """Begin to beat in the background."""
        self._thread.start()

    def drain(self) -> None:
        """From now on say `draining`, at once."""
        self._is_draining = True
        self._wake.set()

    def wake(self) -> None:
        """Beat at once: something that others wait for has changed."""
        self._wake.set()

    def finish(self) -> None:
        """Stop beating and take the worker off the ledger. Called when the pool is gone."""
        self._is_over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._lease_s)
        try:
            self._ledger.forget_worker(self._worker)
        except LedgerUnavailable as exc:
            log.warning("worker not forgotten, its lease ends by itself", reason=str(exc))

    def beat(self) -> None:
        """Save one beat, and hear of a drain lease. Raises `LedgerUnavailable`."""
        workload = self._workload()
        self._lease.until = self._ledger.beat(
            WorkerBeat(
                worker=self._worker,
                pool=self._pool,
                slots=self._slots,
                expires_at=self._clock.now() + self._lease_s,
                active=workload.active,
                held=workload.held,
                draining=self._is_draining,
                obeys_until=self._lease.obeys_until,
                started_at=self._started_at,
            )
        )

    def turn(self) -> None:
        """One round: the liveness file, then a beat, unless the event loop is wedged."""
        now = self._clock.now()
        if self._liveness_file is not None:
            self._write_liveness(self._liveness_file, now)
        if not self._is_draining and self._pulse.is_wedged(now, self._wedged_after_s):
            self._note("the event loop is wedged")
            return
        try:
            self.beat()
        except LedgerUnavailable as exc:
            self._note(str(exc))
        else:
            self._note("")

    def _turn(self) -> None:
        while not self._is_over.is_set():
            try:
                self.turn()
            except Exception:  # the loop of a thread whose death would end the lease
                log.exception("heartbeat failed")
            self._wake.wait(self._heartbeat_s)
            self._wake.clear()

    def _write_liveness(self, path: Path, now: float) -> None:
        pulse = self._pulse
        report = LivenessReport(
            written_at=now,
            tick=pulse.tick,
            broker=pulse.broker,
            broker_since=pulse.broker_since,
            last_delivery=pulse.last_delivery,
            last_ack=pulse.last_ack,
            held=self._workload().held,
            slots=self._slots,
            draining=self._is_draining,
            waiting_since=pulse.waiting_since,
        )
        try:
            write_liveness(path, report)
        except OSError as exc:
            log.error("liveness file not written", path=str(path), reason=str(exc))

    def _note(self, trouble: str) -> None:
        """Log a trouble when it begins and when it is over, not each few seconds."""
        if trouble and not self._trouble:
            log.error("no heartbeat", reason=trouble)
        elif self._trouble and not trouble:
            log.info("heartbeats go on")
        self._trouble = trouble


class BrokerWatch:
    """Looks at the broker each `interval_s`: is this worker known as a holder of messages, and
    does work wait in its queues? Both on a connection of its own, so that a consumer that has
    silently lost its queue shows."""

    def __init__(
        self,
        clock: Clock,
        pulse: Pulse,
        *,
        announce: Callable[[], None],
        count_waiting: Callable[[], int],
        interval_s: float,
        is_consuming: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock = clock
        self._pulse = pulse
        self._is_consuming = is_consuming
        self._announce = announce
        self._count_waiting = count_waiting
        self._interval_s = interval_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="broker-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Do not begin another look. One under way ends with its own timeouts, or the process."""
        self._is_over.set()

    def turn(self) -> None:
        """One look. Announced anew each time: a broker that lost its data, or a reconciler
        that took this worker for dead during an outage, has forgotten it."""
        try:
            self._announce()
            waiting = self._count_waiting()
        except TransientError:
            self._pulse.waiting_since = 0.0  # unknown is no ground for a restart
            return
        if waiting and self._is_consuming():
            self._pulse.waiting_since = self._pulse.waiting_since or self._clock.now()
        else:
            self._pulse.waiting_since = 0.0

    def _turn(self) -> None:
        while not self._is_over.wait(self._interval_s):
            try:
                self.turn()
            except Exception:  # the loop of a thread
                log.exception("look at the broker failed")
