"""An app pool whose replicas are an autoscaler's, beside a pool of our own, all in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from scaled_pool import POOL as OWN
from scaled_pool import TARGET as OWN_TARGET

from marea.apps.memory import MemoryApp
from marea.autoscaler.app_source import AppSource
from marea.autoscaler.loop import Autoscaler
from marea.autoscaler.signal import SignalReader
from marea.autoscaler.sources import OwnSource
from marea.clock import FakeClock
from marea.kube.memory import MemoryFleets
from marea.queues.memory import MemoryBroker
from marea.results.memory import MemoryLedger
from marea.scaling.backlog import PoolTarget
from marea.scaling.decision import Decision
from marea.settings_scaling import AutoscalerSettings
from marea.telemetry.liveness import SignsOfLife

SHOP = "shop"
SLOTS = 2
SILENT_S = 90.0
TARGET = PoolTarget(SHOP, drain_s=20.0, slots=SLOTS, max_replicas=8, startup_s=2.0, idle_after_s=10)


@dataclass
class ScaledApp:
    silent_s: float = SILENT_S
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.app = MemoryApp(self.clock)
        self.broker, self.ledger = MemoryBroker(), MemoryLedger(self.clock)
        self.fleets = MemoryFleets(self.clock, {SHOP: 0, OWN: 0})
        self.interrupted = 0
        self._ended = 0
        self.autoscaler = self.new_autoscaler()

    def new_autoscaler(self) -> Autoscaler:
        """Another process, that remembers nothing."""
        targets = {SHOP: TARGET, OWN: OWN_TARGET}
        sources = [
            OwnSource(self.broker, self.ledger, {OWN: OWN_TARGET}),
            AppSource(TARGET, self.app, ["celery"], self.silent_s),
        ]
        return Autoscaler(
            fleets=self.fleets,
            signal=SignalReader(sources, self.clock, targets),
            ledger=self.ledger,
            clock=self.clock,
            settings=AutoscalerSettings(),
            targets=targets,
            life=SignsOfLife(self.clock),
        )

    def ticks(self, seconds: float = 2.0) -> dict[str, Decision]:
        """Time passes, the autoscaler decides about all pools, and whom it ends is ended."""
        self.clock.sleep(seconds)
        decisions = dict(self.autoscaler.tick())
        for name in self.fleets.ended[self._ended :]:
            if self.worker(name) in self.app.workers:
                self.interrupted += self.app.end(self.worker(name))
        self._ended = len(self.fleets.ended)
        return decisions

    def tick(self, seconds: float = 2.0) -> Decision:
        return self.ticks(seconds)[SHOP]

    def start(self) -> list[str]:
        """All pods are up, and so are the workers in them; the pods' names."""
        self.fleets.become("ready")
        for name in self.names:
            if self.worker(name) not in self.app.workers:
                self.app.start(self.worker(name), SLOTS)
        return self.names

    def finish(self, *names: str, seconds: float = 1.0) -> None:
        """The workers of these, or of all, have done what they run."""
        for worker in [self.worker(name) for name in names] or list(self.app.workers):
            self.app.finish(worker, seconds)

    def worker(self, name: str) -> str:
        return f"{SHOP}@{name}"

    @property
    def names(self) -> list[str]:
        return self.fleets.names(SHOP)

    @property
    def paused(self) -> set[str]:
        """Replicas whose workers fetch nothing."""
        workers = self.app.workers.items()
        return {name.partition("@")[2] for name, worker in workers if not worker.consuming}
