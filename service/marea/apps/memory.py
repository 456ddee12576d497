"""An application in memory: a queue, workers that fetch from it and do what they are told.

For tests. It passes the same contract suite as real workers on real brokers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from marea.apps.app import Answer, AppView, AppWorker, Run, Took
from marea.clock import Clock
from marea.errors import BacklogUnavailable, BrokerUnavailable

PREFETCH = 4
"""Messages that a worker fetches per slot, Celery's default."""
TASK = "tutorial.slow"


@dataclass
class _Worker:
    slots: int
    consuming: bool = True
    frozen: bool = False
    heard_at: float = 0.0
    active: dict[str, Run] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    scheduled: int = 0


@dataclass
class MemoryApp:
    """Its workers beat with every look."""

    clock: Clock
    queue: str = "celery"
    away: str = ""
    """Why the broker does not answer; "" = it does."""
    ready: list[str] = field(default_factory=list)
    workers: dict[str, _Worker] = field(default_factory=dict)
    lost: int = 0
    """Messages that workers had which were killed."""
    started: int = 0
    closed: bool = False
    _took: Took = field(default_factory=lambda: Took(0, 0.0))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def look(self, workers: Sequence[str]) -> AppView:
        if self.away:
            raise BacklogUnavailable(self.away)
        for worker in self.workers.values():
            if not worker.frozen:
                worker.heard_at = self.clock.now()
        return AppView(
            {self.queue: len(self.ready)},
            {name: self._seen(name) for name in workers},
            0 if self.ready else self.lost + sum(map(_unacked, self.workers.values())),
            self.started,
            {TASK: self._took} if self._took.tasks else {},
        )

    def pause(self, workers: Sequence[str]) -> None:
        self._let_consume(workers, False)

    def resume(self, workers: Sequence[str]) -> None:
        self._let_consume(workers, True)

    def close(self) -> None:
        self.closed = True

    # what clients and workers do by themselves

    def send(self, count: int) -> None:
        self.ready += [f"task-{next(self._numbers)}" for _ in range(count)]
        self._fetch()

    def start(self, name: str, slots: int) -> None:
        self.workers[name] = _Worker(slots, heard_at=self.clock.now())
        self._fetch()

    def end(self, name: str) -> int:
        """A warm shutdown gives back what has not begun; how many tasks it interrupts, which it
        would wait for."""
        worker = self.workers.pop(name)
        self.ready += [*worker.waiting, *(f"eta-{n}" for n in range(worker.scheduled))]
        self._fetch()
        return len(worker.active)

    def kill(self, name: str) -> None:
        """Nobody gives back what it had fetched, until long after."""
        self.lost += _unacked(self.workers.pop(name))

    def freeze(self, name: str, is_frozen: bool = True) -> None:
        self.workers[name].frozen = is_frozen
        self._fetch()

    def schedule(self, name: str, count: int) -> None:
        self.workers[name].scheduled = count

    def finish(self, name: str, seconds: float) -> int:
        """All that it runs is over, and took so long; how many tasks that were."""
        worker = self.workers[name]
        count = len(worker.active)
        worker.active.clear()
        self._took = Took(self._took.tasks + count, self._took.seconds + count * seconds)
        self._fetch()
        return count

    def _seen(self, name: str) -> AppWorker:
        worker = self.workers.get(name)
        if worker is None:
            return AppWorker()
        if worker.frozen:
            return AppWorker(worker.heard_at)
        queues = frozenset([self.queue] if worker.consuming else [])
        answer = Answer(queues, dict(worker.active), len(worker.waiting), worker.scheduled)
        return AppWorker(worker.heard_at, answer)

    def _let_consume(self, workers: Sequence[str], is_consuming: bool) -> None:
        if self.away:
            raise BrokerUnavailable(self.away)
        for name in workers:
            if name in self.workers and not self.workers[name].frozen:
                self.workers[name].consuming = is_consuming
        self._fetch()

    def _fetch(self) -> None:
        for worker in self.workers.values():
            if worker.frozen:
                continue
            while len(worker.active) < worker.slots:
                fetched = worker.waiting or (self.ready if worker.consuming else [])
                if not fetched:
                    break
                worker.active[fetched.pop(0)] = Run(TASK, self.clock.now())
                self.started += 1
            # What runs is acknowledged already, as by default, and counts no more.
            room = worker.slots * PREFETCH - len(worker.waiting) if worker.consuming else 0
            worker.waiting += self.ready[:room]
            del self.ready[:room]


def _unacked(worker: _Worker) -> int:
    return len(worker.waiting) + worker.scheduled
