"""A broker in memory: publisher, broker and the consumers' side in one, for simulations.

Deterministic, without threads and without a clock. It has the faults of the real ones as
methods: a broker that does not answer, a confirm that is lost, data that vanish, come twice
or out of order, and workers that die holding messages.

                      publish           take            ack
    (none, or wiped) ────────▶ ready ─────────▶ held ─────────▶ gone
                                 ▲ requeue, reject  │ too often delivered
                                 └──────────────────┴──▶ dead letter (only if `redelivers`)
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from marea.errors import BacklogUnavailable, BrokerUnavailable
from marea.messages.job import Job
from marea.queues.broker import DeadLetter, QueueDepth
from marea.queues.message import Outgoing
from marea.queues.names import dead_letter_queue, pool_queues


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in a worker's hands."""

    tag: int
    job: Job
    queue: str
    pool: str
    redelivered: bool = False
    deliveries: int = 0
    """How often it was delivered before."""


class MemoryBroker:
    """`Publisher` and `Broker`, with `take`, `ack` and `reject` for workers.

    `redelivers` says whose manners it has: False is Redis, where what a dead worker held
    waits for `requeue`; True is RabbitMQ, which redelivers it at once, and gives up after
    `delivery_limit` deliveries.
    """

    def __init__(self, *, redelivers: bool = False, delivery_limit: int = 20) -> None:
        self.available = True
        """False: nothing is answered and nothing happens."""
        self.confirms = True
        """False: messages are queued, but the publisher never hears of it."""
        self.redelivers = redelivers
        self._delivery_limit = delivery_limit
        self._queues: dict[str, deque[Delivery]] = {}
        self._held: dict[str, dict[int, Delivery]] = {}
        self._dead: dict[str, deque[DeadLetter]] = {}
        self._epoch: str | None = None
        self._last_tag = 0

    # Publisher

    def publish(self, job: Job, *, quarantine: bool = False) -> None:
        self._require(BrokerUnavailable)
        outgoing = Outgoing.of(job, quarantine=quarantine)
        # Through JSON, as on the wire: what is lost there must be missed here too.
        arrived = Job.from_json(outgoing.job_json)
        self._ready(outgoing.queue).append(
            Delivery(self._next_tag(), arrived, outgoing.queue, outgoing.pool)
        )
        if not self.confirms:
            raise BrokerUnavailable("The broker did not confirm; the job may be queued.")

    def publish_many(self, jobs: Sequence[Job]) -> list[bool]:
        confirmed = []
        for job in jobs:
            try:
                self.publish(job)
            except BrokerUnavailable:
                confirmed.append(False)
            else:
                confirmed.append(True)
        return confirmed

    def ping(self) -> None:
        self._require(BrokerUnavailable)

    # Broker

    def depths(self, pools: Sequence[str]) -> Mapping[str, QueueDepth]:
        self._require(BacklogUnavailable)
        held = Counter(
            delivery.queue for theirs in self._held.values() for delivery in theirs.values()
        )
        return {
            queue: QueueDepth(len(self._queues.get(queue, ())), held[queue])
            for pool in pools
            for queue in pool_queues(pool)
        }

    def holders(self) -> Mapping[str, int]:
        self._require(BrokerUnavailable)
        if self.redelivers:
            return {}
        return {worker: len(held) for worker, held in self._held.items()}

    def requeue(self, worker: str, but: Collection[str] = ()) -> int:
        self._require(BrokerUnavailable)
        return 0 if self.redelivers else self._give_back(worker, but)

    def drain_dead_letters(
        self, pools: Sequence[str], handle: Callable[[DeadLetter], None], limit: int
    ) -> int:
        self._require(BrokerUnavailable)
        drained = 0
        for pool in pools:
            letters = self._dead.get(dead_letter_queue(pool), deque())
            while letters and drained < limit:
                handle(letters[0])
                letters.popleft()
                drained += 1
        return drained

    def epoch(self) -> str | None:
        self._require(BrokerUnavailable)
        return self._epoch

    def set_epoch(self, epoch: str) -> None:
        self._require(BrokerUnavailable)
        self._epoch = epoch

    def declare(self, pools: Sequence[str]) -> None:
        self._require(BrokerUnavailable)
        for pool in pools:
            for queue in pool_queues(pool):
                self._ready(queue)

    # the consumers' side

    def take(self, worker: str, pools: Sequence[str]) -> Delivery | None:
        """The next message for `worker`, high before normal, first in first out; None if
        there is none, or the broker is away."""
        if not self.available:
            return None
        for queue in (queue for pool in pools for queue in pool_queues(pool)):
            if ready := self._queues.get(queue):
                delivery = ready.popleft()
                self._held.setdefault(worker, {})[delivery.tag] = delivery
                return delivery
        return None

    def ack(self, worker: str, delivery: Delivery) -> None:
        """Done with it. Silently too late if it was given back or wiped meanwhile."""
        if self.available:
            self._held.get(worker, {}).pop(delivery.tag, None)

    def reject(self, worker: str, delivery: Delivery) -> None:
        """Give it back, to the front of its queue."""
        if self.available and self._held.get(worker, {}).pop(delivery.tag, None) is not None:
            self._return(delivery)

    # faults

    def crash(self, worker: str) -> None:
        """The worker is gone. What it held goes back at once, or waits for `requeue`."""
        if self.redelivers:
            self._give_back(worker)

    def wipe(self) -> None:
        """Lose everything: ready, held, dead letters and the epoch."""
        self._queues.clear()
        self._held.clear()
        self._dead.clear()
        self._epoch = None

    def drop(self, n: int) -> int:
        """Lose the `n` next ready messages; how many there were to lose."""
        dropped = 0
        for ready in self._queues.values():
            while ready and dropped < n:
                ready.popleft()
                dropped += 1
        return dropped

    def duplicate(self, n: int) -> int:
        """Deliver the `n` next ready messages once more, at the end; how many there were."""
        duplicated = 0
        for ready in self._queues.values():
            for delivery in list(ready)[: n - duplicated]:
                ready.append(replace(delivery, tag=self._next_tag()))
                duplicated += 1
        return duplicated

    def shuffle(self, rng: random.Random) -> None:
        """Put the messages of each queue in an order that `rng` chooses."""
        for ready in self._queues.values():
            messages = list(ready)
            rng.shuffle(messages)
            ready.clear()
            ready.extend(messages)

    def _give_back(self, worker: str, but: Collection[str] = ()) -> int:
        held = self._held.pop(worker, {})
        kept = {tag: delivery for tag, delivery in held.items() if delivery.job.id in but}
        if kept:
            self._held[worker] = kept
        for tag, delivery in reversed(held.items()):  # the first one taken is the next again
            if tag not in kept:
                self._return(delivery)
        return len(held) - len(kept)

    def _return(self, delivery: Delivery) -> None:
        again = replace(delivery, redelivered=True, deliveries=delivery.deliveries + 1)
        if self.redelivers and again.deliveries > self._delivery_limit:
            letters = dead_letter_queue(delivery.pool)
            self._dead.setdefault(letters, deque()).append(
                DeadLetter(delivery.job.to_json(), f"delivery_limit in {delivery.queue}", letters)
            )
            return
        self._ready(delivery.queue).appendleft(again)

    def _ready(self, queue: str) -> deque[Delivery]:
        return self._queues.setdefault(queue, deque())

    def _next_tag(self) -> int:
        self._last_tag += 1
        return self._last_tag

    def _require(self, error: type[BrokerUnavailable] | type[BacklogUnavailable]) -> None:
        if not self.available:
            raise error("The broker does not answer.")
