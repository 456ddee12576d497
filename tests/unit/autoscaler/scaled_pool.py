"""One pool whose replicas are an autoscaler's, all of it in memory.

Workers here are beats: they appear when their pod is up, hear of drain leases with each beat and
obey, as `marea.worker.drain` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from marea.autoscaler.loop import Autoscaler
from marea.autoscaler.signal import SignalReader
from marea.autoscaler.sources import OwnSource
from marea.clock import FakeClock
from marea.kube.memory import MemoryFleets
from marea.lifecycle.state import JobState, WorkerBeat, replica_of
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.queues.memory import MemoryBroker
from marea.results.memory import MemoryLedger
from marea.scaling.backlog import PoolTarget
from marea.scaling.decision import Decision
from marea.settings_scaling import AutoscalerSettings
from marea.telemetry.liveness import SignsOfLife

POOL = "images"
SLOTS = 2
BEAT_S = 5.0
TARGET = PoolTarget(POOL, drain_s=20.0, slots=SLOTS, max_replicas=8, startup_s=2.0, idle_after_s=10)


@dataclass
class ScaledPool:
    target: PoolTarget = TARGET
    mode: str = "builtin"
    clock: FakeClock = field(default_factory=FakeClock)
    _uploads: int = 0

    def __post_init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.declare((POOL,))
        self.ledger = MemoryLedger(self.clock)
        self.fleets = MemoryFleets(self.clock, {POOL: 0})
        self.autoscaler = self.new_autoscaler()
        self._beats: dict[str, WorkerBeat] = {}
        self.taking: set[str] = set()
        """Replicas that took jobs when the last decision was made."""

    def new_autoscaler(self) -> Autoscaler:
        """Another process, that remembers nothing."""
        targets: Mapping[str, PoolTarget] = {POOL: self.target}
        return Autoscaler(
            fleets=self.fleets,
            signal=SignalReader(
                [OwnSource(self.broker, self.ledger, targets)], self.clock, targets
            ),
            ledger=self.ledger,
            clock=self.clock,
            settings=AutoscalerSettings(mode=self.mode),  # type: ignore[arg-type]
            targets=targets,
            life=SignsOfLife(self.clock),
        )

    def upload(self, count: int) -> list[JobState]:
        """So many jobs come into the queue."""
        states = []
        for _ in range(count):
            self._uploads += 1
            ref = ObjectRef("uploads", f"{self._uploads}.jpg", "v1", size_bytes=100_000)
            job = Job(ref=ref, pipeline="grayscale", pool=POOL)
            self.broker.publish(job)
            saved = self.ledger.save(
                JobState(job=job, phase="queued", published_at=self.clock.now())
            )
            assert saved is not None
            states.append(saved)
        return states

    def tick(self, seconds: float = 2.0) -> Decision:
        """Time passes, live workers beat, the autoscaler decides."""
        self.clock.sleep(seconds)
        for worker in list(self._beats):
            self._beat(worker)
        self.taking = self.consuming()
        decisions = self.autoscaler.tick()
        for name in self.fleets.ended:
            self._beats.pop(f"{POOL}@{name}-0", None)
        return decisions[POOL]

    def start(self, *names: str) -> None:
        """The pods named, or all, are up, and their workers beat."""
        self.fleets.become("ready", *names)
        for name in names or self.fleets.names(POOL):
            worker = f"{POOL}@{name}-0"
            self._beats[worker] = WorkerBeat(worker, POOL, SLOTS, expires_at=0.0)
            self._beat(worker)

    def run(self, name: str, *states: JobState) -> list[JobState]:
        """The replica's worker fetches and begins these jobs."""
        begun = []
        for state in states:
            assert self.broker.take(f"{POOL}@{name}-0", (POOL,)) is not None
            saved = self.ledger.save(
                state.but(phase="running", started_at=self.clock.now(), owner=f"{POOL}@{name}-0")
            )
            assert saved is not None
            begun.append(saved)
        self.busy(name, *(state.job.id for state in states))
        return begun

    def cancel(self, *states: JobState) -> None:
        """These jobs are over without having run; nothing else may be queued."""
        for state in states:
            assert self.ledger.save(state.but(phase="cancelled")) is not None
        self.broker.wipe()
        self.broker.declare((POOL,))

    def busy(self, name: str, *job_ids: str) -> None:
        worker = f"{POOL}@{name}-0"
        self._beats[worker] = replace(self._beats[worker], active=job_ids, held=len(job_ids))

    def say_obeys(self, name: str, until: float) -> None:
        """The replica's worker beats, and says which drain lease it obeys."""
        beat = self._beats[f"{POOL}@{name}-0"]
        self.ledger.beat(replace(beat, obeys_until=until))

    def silence(self, name: str) -> None:
        """The replica's worker beats no more."""
        worker = f"{POOL}@{name}-0"
        del self._beats[worker]
        self.ledger.forget_worker(worker)

    def consuming(self) -> set[str]:
        return {replica_of(beat.worker) for beat in self._beats.values() if beat.consuming}

    def _beat(self, worker: str) -> None:
        beat = replace(self._beats[worker], expires_at=self.clock.now() + 3 * BEAT_S)
        until = self.ledger.beat(beat)
        obeyed = until if until > self.clock.now() else 0.0
        self._beats[worker] = replace(beat, obeys_until=obeyed)
        self.ledger.beat(self._beats[worker])
