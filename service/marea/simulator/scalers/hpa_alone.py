"""An HPA without KEDA, from 0 as Kubernetes 1.37 allows, on a metric that comes by Prometheus.

Scrape, rule and adapter make the value old: 30 to 60 s are assumed, drawn at each sync.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

from marea.simulator.cluster import WorkerProfile
from marea.simulator.scaler import Scaler
from marea.simulator.scalers.hpa import SYNC_S, Hpa, HpaSpec

if TYPE_CHECKING:
    from marea.simulator.pool import Pool
    from marea.simulator.world import World

LAG_S = (30.0, 60.0)
SAMPLE_S = 1.0


class HpaScaler(Scaler):
    """AverageValue of what LLEN counts, all else by Kubernetes' defaults."""

    def __init__(self, target: float, worker: WorkerProfile) -> None:
        self.profile = worker
        self._target = target

    def begin(self, world: World) -> None:
        self._lags = world.random("lag")
        phases = world.random("hpa")
        first = world.trace.first_s
        for pool in world.pools.values():
            samples: list[tuple[float, float]] = []
            spec = HpaSpec(self._target, world.trace.alone_max(pool.spec), min_replicas=0)
            world.every(SAMPLE_S, first, self._sample(world, pool, samples))
            sync = self._sync(world, pool, Hpa(spec), samples)
            world.every(SYNC_S, first + phases.uniform(0, SYNC_S), sync)

    def _sample(
        self, world: World, pool: Pool, samples: list[tuple[float, float]]
    ) -> Callable[[], None]:
        def sample() -> None:
            if world.is_readable:
                samples.append((world.now, float(pool.ready_messages)))

        return sample

    def _sync(
        self, world: World, pool: Pool, hpa: Hpa, samples: list[tuple[float, float]]
    ) -> Callable[[], None]:
        def sync() -> None:
            as_of = world.now - self._lags.uniform(*LAG_S)
            position = bisect_right(samples, (as_of, float("inf")))
            metric = samples[position - 1][1] if position else 0.0
            readable = metric if world.is_readable else None
            pool.scale(hpa.sync(world.now, pool.wanted, len(pool.pods), readable))

        return sync
