"""Knative's pod autoscaler on jobs in the system, as `pkg/autoscaler/scaling/autoscaler.go`.

Average concurrency over 60 s, and over 6 s in a panic; a pod should be 70 % full.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marea.simulator.cluster import WorkerProfile
from marea.simulator.scaler import Scaler

if TYPE_CHECKING:
    from marea.simulator.pool import Pool
    from marea.simulator.world import World

TICK_S = 2.0
STABLE_S, PANIC_S = 60.0, 6.0
PANIC_AT = 2.0
MAX_UP, MAX_DOWN = 1000.0, 2.0
TARGET = 0.7
ZERO_GRACE_S = 30.0
SAMPLE_S = 1.0
REVISION_TIMEOUT_S = 300.0
"""Knative's default; it becomes the pod's grace."""


@dataclass(slots=True)
class Kpa:
    """The decider of one revision."""

    target: float
    max_replicas: int
    _samples: deque[tuple[float, float]] = field(default_factory=deque)
    _panic_s: float | None = None
    _panic_replicas: int = 0
    _busy_s: float = -math.inf

    def sample(self, now: float, in_system: float) -> None:
        self._samples.append((now, in_system))
        while self._samples[0][0] <= now - STABLE_S:
            self._samples.popleft()

    def decide(self, now: float, ready: int) -> int:
        """The scale wanted at a tick, with `ready` pods up."""
        stable, panic = self._average(now, STABLE_S), self._average(now, PANIC_S)
        up = max(1, ready)
        highest, lowest = math.ceil(MAX_UP * up), math.floor(ready / MAX_DOWN)
        want = min(max(math.ceil(stable / self.target), lowest), highest)
        rush = math.ceil(panic / self.target)
        if rush / up >= PANIC_AT:
            self._panic_s = now
        elif self._panic_s is not None and now > self._panic_s + STABLE_S:
            self._panic_s, self._panic_replicas = None, 0
        if self._panic_s is not None:
            rushed = min(max(rush, lowest), highest)
            self._panic_replicas = max(self._panic_replicas, want, rushed)
            want = self._panic_replicas
        if stable > 0:
            self._busy_s = now
        elif now - self._busy_s < ZERO_GRACE_S:
            want = max(want, 1)
        return min(want, self.max_replicas)

    def _average(self, now: float, window_s: float) -> float:
        values = [value for at, value in self._samples if at > now - window_s]
        return sum(values) / len(values) if values else 0.0


class KnativeScaler(Scaler):
    profile = WorkerProfile(grace_s=REVISION_TIMEOUT_S)

    def begin(self, world: World) -> None:
        first = world.trace.first_s
        for pool in world.pools.values():
            kpa = Kpa(TARGET * pool.spec.slots, world.trace.alone_max(pool.spec))
            world.every(SAMPLE_S, first, self._sample(world, pool, kpa))
            world.every(TICK_S, first + TICK_S, self._tick(world, pool, kpa))

    def _sample(self, world: World, pool: Pool, kpa: Kpa) -> Callable[[], None]:
        def sample() -> None:
            if world.is_readable:
                kpa.sample(world.now, float(pool.ready_messages + pool.unacked))

        return sample

    def _tick(self, world: World, pool: Pool, kpa: Kpa) -> Callable[[], None]:
        def tick() -> None:
            if world.is_readable:
                pool.scale(kpa.decide(world.now, pool.ready_pods))

        return tick
