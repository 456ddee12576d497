"""The figures about one app pool, from its broker and its workers alone.

Its replicas' workers are called `POOL@REPLICA`. A drain lease is kept in here: the worker knows
nothing of it, it is told to fetch nothing, and when the lease is over to fetch again. One that does
not fetch though no lease is known was told so by a process that is no more, and is told again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from marea.apps.app import Answer, AppView, CeleryApp, Run
from marea.autoscaler.arrived import Arrived
from marea.autoscaler.silence import Sign, replica_to_replace
from marea.autoscaler.sources import Told
from marea.errors import TransientError
from marea.kube.fleets import FleetView
from marea.lifecycle.state import WorkerBeat
from marea.queues.broker import QueueDepth
from marea.results.demand import PoolDemand, Served, Started
from marea.scaling.backlog import PoolTarget
from marea.scaling.service_times import Kind

log = structlog.get_logger("marea.autoscaler")

BREAK_S = 30.0
"""After so long without a look nothing is known of the time between. As old as a reading may be."""


class AppSource:
    """`Source` of one app pool."""

    def __init__(
        self, target: PoolTarget, app: CeleryApp, queues: Sequence[str], silent_s: float
    ) -> None:
        """`queues`: what its workers consume when nobody tells them otherwise."""
        self._target, self._app = target, app
        self._queues, self._silent_s = frozenset(queues), silent_s
        self._arrived = Arrived()
        self._leases: dict[str, float] = {}
        """Worker → end."""
        self._ready_at: dict[str, float] = {}
        """Replica → when it was first seen to be ready."""
        self._seen: AppView | None = None
        self._have_spoken = False
        self._hearing_since: float | None = None
        self._read_at = 0.0
        self._replaced_at: float | None = None

    @property
    def pools(self) -> Sequence[str]:
        return (self._target.name,)

    def read(self, views: Mapping[str, FleetView], now: float) -> Mapping[str, Told]:
        view = views.get(self._target.name, FleetView(0))
        replicas = [each.name for each in view.replicas if each.state == "ready"]
        self._ready_at = {name: self._ready_at.get(name, now) for name in replicas}
        try:
            seen = self._app.look([self._worker(name) for name in replicas])
        except TransientError:
            self._seen = self._hearing_since = None
            raise
        if self._hearing_since is None or not 0.0 <= now - self._read_at <= BREAK_S:
            self._hearing_since = now
        self._seen, self._read_at = seen, now
        self._have_spoken |= any(
            worker.answer is not None or worker.heard_at is not None
            for worker in seen.workers.values()
        )
        self._settle(seen, now)
        answers = {
            name: answer
            for name in replicas
            if (answer := seen.workers[self._worker(name)].answer) is not None
        }
        return {self._target.name: self._told(seen, answers, now)}

    def lease(self, until: Mapping[str, float]) -> None:
        paused = [worker for worker, end in until.items() if end]
        resumed = [worker for worker, end in until.items() if not end]
        self._app.pause(paused)
        self._app.resume(resumed)
        self._leases |= {worker: until[worker] for worker in paused}
        for worker in resumed:
            self._leases.pop(worker, None)

    def silent(self, view: FleetView, now: float) -> str:
        if self._seen is None or self._hearing_since is None:
            return ""
        workers = self._seen.workers
        signs = [
            Sign(each.name, self._ready_at[each.name], worker.heard_at, worker.answer is not None)
            for each in view.replicas
            if (worker := workers.get(self._worker(each.name))) is not None
        ]
        replica = replica_to_replace(
            signs,
            silent_s=self._silent_s,
            hearing_since=self._hearing_since,
            have_spoken=self._have_spoken,
            replaced_at=self._replaced_at,
            now=now,
        )
        if replica:
            self._replaced_at = now
        return replica

    def close(self) -> None:
        self._app.close()

    def _worker(self, replica: str) -> str:
        return f"{self._target.name}@{replica}"

    def _settle(self, seen: AppView, now: float) -> None:
        """Tell workers again whose answer is not what they were told: messages get lost, and
        leases end."""
        self._leases = {
            worker: end
            for worker, end in self._leases.items()
            if worker in seen.workers and end > now
        }
        answers = {
            worker: each.answer.queues & self._queues
            for worker, each in seen.workers.items()
            if each.answer is not None
        }
        paused = [each for each, queues in answers.items() if queues and each in self._leases]
        resumed = [
            each
            for each, queues in answers.items()
            if queues != self._queues and each not in self._leases
        ]
        if paused:
            self._app.pause(paused)
        if resumed:
            log.info("fetches tasks again", pool=self._target.name, workers=resumed)
            self._app.resume(resumed)

    def _told(self, seen: AppView, answers: Mapping[str, Answer], now: float) -> Told:
        ready = sum(seen.ready.values())
        running = [run for answer in answers.values() for run in answer.active.values()]
        fetched = sum(answer.waiting + answer.scheduled for answer in answers.values())
        arrived = self._arrived.read(seen.started, ready + fetched, now)
        return Told(
            # Tasks with an ETA are unacknowledged too: they keep a replica, though not this one. So
            # do those of a dead worker, since only a live one asks the broker for them.
            [QueueDepth(ready, max(len(running) + fetched, seen.unacked))],
            PoolDemand(
                running=len(running),
                started=_started(running),
                oldest_at=self._arrived.oldest_at(ready),
                arrived=arrived,
                served={
                    Kind(name, 0): Served(took.tasks, took.seconds)
                    for name, took in seen.took.items()
                },
            ),
            {name: self._beat(name, answer, now) for name, answer in answers.items()},
        )

    def _beat(self, replica: str, answer: Answer, now: float) -> WorkerBeat:
        worker = self._worker(replica)
        is_paused = not answer.queues & self._queues
        return WorkerBeat(
            worker,
            self._target.name,
            self._target.slots,
            expires_at=now,
            active=tuple(answer.active),
            held=len(answer.active) + answer.waiting,
            obeys_until=self._leases.get(worker, 0.0) if is_paused else 0.0,
        )


def _started(running: Sequence[Run]) -> Mapping[Kind, Started]:
    since: dict[Kind, list[float]] = {}
    for run in running:
        since.setdefault(Kind(run.task, 0), []).append(run.started_at)
    return {kind: Started(len(times), sum(times) / len(times)) for kind, times in since.items()}
