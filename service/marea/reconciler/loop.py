"""The reconciler's loop: one tick after the other, each duty on its own.

A duty that fails is logged and counted, and the others go on: a store that is away must not
keep dead workers' messages from being requeued. One reconciler is enough and two are
harmless, since every change is a compare-and-swap.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from marea.errors import MareaError
from marea.lifecycle import duties
from marea.lifecycle.duties import Reading
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.messages.job import PRIORITIES, Job
from marea.notify.notifier import Notifier
from marea.perform import Performer
from marea.queues.broker import Broker, DeadLetter
from marea.queues.names import QUARANTINE_POOL, dead_letter_queue, pool_queues
from marea.reconciler.outbox import Outbox
from marea.reconciler.sweeper import Sweeper
from marea.settings import Settings
from marea.telemetry import metrics
from marea.telemetry.liveness import SignsOfLife

log = structlog.get_logger("marea.reconciler")

BATCH = 500
"""Rows that one duty handles in one tick; arbitrary, a tick stays well under a second."""

EPOCH = "epoch"


@dataclass
class Reconciler:
    """Holds what must be remembered from tick to tick; all of it may be forgotten."""

    performer: Performer
    broker: Broker
    notifier: Notifier
    settings: Settings
    policy: Policy
    place: Place
    pools: tuple[str, ...]
    sweeper: Sweeper
    life: SignsOfLife
    _readings: dict[str, Reading] = field(default_factory=dict)
    _next_reading_at: float = 0.0
    _silent_since: dict[str, float] = field(default_factory=dict)
    _failing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outbox = Outbox(self.performer, self.notifier, self.settings.notify, self.place)

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        told = ""
        while not stop.is_set():
            self.tick()
            self.life.touch("waiting for the next tick")
            if self.life.trouble not in ("", told):
                told = self.life.trouble
                log.error("liveness file not written", reason=told)
            stop.wait(self.settings.reconciler.tick_s)

    def tick(self) -> None:
        """Every duty once."""
        run = self.performer.run
        reconciler = self.settings.reconciler
        self._duty("epoch", self._check_epoch)
        self._duty("requeue", self._requeue_dead_workers)
        self._duty("recover", self._recover_running)
        self._duty("due", lambda: run(duties.release_due(BATCH)))
        self._duty("waiting", lambda: run(duties.release_waiting(self.policy, BATCH)))
        self._duty(
            "accepted", lambda: run(duties.publish_accepted(reconciler.accepted_timeout_s, BATCH))
        )
        self._duty("verdicts", lambda: run(duties.settle_verdicts(self.place, BATCH)))
        self._duty("dead-letters", self._drain_dead_letters)
        if self.performer.ports.clock.now() >= self._next_reading_at:
            self._duty("evidence", self._republish_lost)
        self._duty("outbox", lambda: self._outbox.send_due(BATCH))
        self._duty("sweep", self.sweeper.tick)

    def _duty(self, name: str, work: Callable[[], int | None]) -> None:
        self.life.touch(f"duty {name}")
        try:
            done = work() or 0
        except MareaError as exc:
            if self._failing.get(name) != exc.code:
                log.warning("duty waits", duty=name, code=exc.code, reason=str(exc))
            self._failing[name] = exc.code
            metrics.RECONCILER_FAILURES.labels(duty=name).inc()
        except Exception:
            # A process loop is the one place for this: the other duties must go on.
            log.exception("duty failed", duty=name)
            metrics.RECONCILER_FAILURES.labels(duty=name).inc()
        else:
            if self._failing.pop(name, None):
                log.info("duty goes on", duty=name)
            if done:
                log.info("duty done", duty=name, count=done)
                metrics.RECONCILER_DONE.labels(duty=name).inc(done)

    def _check_epoch(self) -> int:
        """Notice that the broker or the ledger lost its data: both carry the same mark."""
        ledger = self.performer.ports.ledger
        theirs, ours = self.broker.epoch(), ledger.value(EPOCH)
        if theirs is not None and theirs == ours:
            return 0
        if theirs is not None or ours is not None:
            log.warning("data lost", broker=theirs is None, ledger=ours is None)
        self.broker.declare(self.pools)
        epoch = uuid.uuid4().hex
        self.broker.set_epoch(epoch)
        ledger.set_value(EPOCH, epoch)
        self.sweeper.start_now()
        return 1

    def _requeue_dead_workers(self) -> int:
        """Return what workers held that are not heard of any more.

        A worker without a beat is given two heartbeats to send one: after the loss of the
        ledger every worker looks dead until its next beat.
        """
        ports = self.performer.ports
        now = ports.clock.now()
        holders = self.broker.holders()
        live = {beat.worker for beat in ports.ledger.workers(now)}
        self._silent_since = {
            worker: self._silent_since.get(worker, now) for worker in holders if worker not in live
        }
        requeued = 0
        for worker, since in self._silent_since.items():
            if now - since >= self.policy.claim_grace_s:
                requeued += self.broker.requeue(worker)
                ports.ledger.forget_worker(worker)
        return requeued

    def _recover_running(self) -> int:
        return self.performer.run(
            duties.recover_running(self.policy, broker_redelivers=self.broker.redelivers)
        )

    def _drain_dead_letters(self) -> int:
        def handle(letter: DeadLetter) -> None:
            try:
                job = Job.from_json(letter.body)
            except ValueError as exc:
                self.performer.ports.ledger.note(
                    "undecodable-messages",
                    {"body": letter.body[:2000], "why": str(exc), "queue": letter.queue},
                )
                return
            became = self.performer.run(
                duties.settle_dead_letter(
                    job,
                    letter.reason,
                    self.policy,
                    self.place,
                    from_quarantine=letter.queue == dead_letter_queue(QUARANTINE_POOL),
                )
            )
            log.warning("dead letter settled", job_id=job.id, became=became)

        return self.broker.drain_dead_letters(self.pools, handle, BATCH)

    def _republish_lost(self) -> int:
        ports = self.performer.ports
        now = ports.clock.now()
        self._next_reading_at = now + self.settings.reconciler.evidence_interval_s
        counts = ports.ledger.open_counts()
        pools = sorted({*self.pools, *(pool for pool, _ in counts)})
        depths = self.broker.depths(pools)
        held: dict[str, int] = {}
        for beat in ports.ledger.workers(now):
            held[beat.pool] = held.get(beat.pool, 0) + beat.held
        republished = 0
        for pool in pools:
            ours = [counts[pool, priority] for priority in PRIORITIES if (pool, priority) in counts]
            theirs = [depths[name] for name in pool_queues(pool)]
            reading = Reading(
                taken_at=now,
                queued=sum(count.queued for count in ours),
                running=sum(count.running for count in ours),
                ready=sum(depth.ready for depth in theirs),
                # RabbitMQ's management API lags by some 5 s, and may not be there at all; the
                # workers say what they hold themselves. On disagreement the larger.
                unacked=max(
                    sum(depth.unacked or 0 for depth in theirs),
                    held.get(pool, 0),
                ),
            )
            before = self._readings.get(pool)
            self._readings[pool] = reading
            republished += self.performer.run(
                duties.republish_lost(pool, before, reading, self.policy, BATCH)
            )
        return republished
