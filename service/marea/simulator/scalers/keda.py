"""KEDA's ScaledObject: its operator wakes and parks a pool, the HPA that it makes does the rest.

From `pkg/scaling/executor/scale_scaledobjects.go` and `controllers/keda/hpa.go` of KEDA 2.20.
The operator looks each `polling_s`, the HPA each 15 s, and their phases have nothing to do with
each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marea.simulator.cluster import WorkerProfile
from marea.simulator.scaler import Scaler
from marea.simulator.scalers.hpa import SYNC_S, Behaviour, Hpa, HpaSpec

if TYPE_CHECKING:
    from marea.simulator.pool import Pool
    from marea.simulator.world import World


@dataclass(frozen=True, slots=True)
class Operator:
    polling_s: float = 30.0
    cooldown_s: float = 300.0
    min_replicas: int = 0
    activation: float = 0.0


@dataclass(slots=True)
class Activity:
    """The operator's part for one ScaledObject: 0 to 1, and any number to 0."""

    operator: Operator
    _last_active_s: float | None = None

    def poll(self, now: float, wanted: int, metric: float | None) -> int:
        """The scale after a poll; an error changes nothing."""
        if metric is None:
            return wanted
        lowest = self.operator.min_replicas
        if metric > self.operator.activation:
            self._last_active_s = now
            return wanted or max(1, lowest)
        is_cool = (
            self._last_active_s is None or now - self._last_active_s > self.operator.cooldown_s
        )
        if lowest == 0 and wanted > 0 and is_cool:
            return 0
        return max(wanted, lowest)


@dataclass(frozen=True, slots=True)
class KedaProfile:
    """One way to set KEDA up."""

    metric: Callable[[Pool], float]
    target: Callable[[Pool], float]
    operator: Operator
    behaviour: Behaviour | None
    worker: WorkerProfile
    max_slots: int | None = None
    """A maximum of the whole pool in slots, where the profile has one of its own."""


class KedaScaler(Scaler):
    """One ScaledObject a pool, each with phases of its own."""

    def __init__(self, profile: KedaProfile) -> None:
        self.profile = profile.worker
        self._profile = profile

    def begin(self, world: World) -> None:
        phases = world.random("keda")
        for pool in world.pools.values():
            poll_s = self._profile.operator.polling_s
            first = world.trace.first_s
            activity, hpa = self._controllers(world, pool)
            world.every(
                poll_s, first + phases.uniform(0, poll_s), self._poll(world, pool, activity)
            )
            world.every(SYNC_S, first + phases.uniform(0, SYNC_S), self._sync(world, pool, hpa))

    def _controllers(self, world: World, pool: Pool) -> tuple[Activity, Hpa]:
        most = world.trace.alone_max(pool.spec)
        if self._profile.max_slots is not None:
            most = max(1, min(most, self._profile.max_slots // pool.spec.slots))
        spec = HpaSpec(self._profile.target(pool), most, behaviour=self._profile.behaviour)
        return Activity(self._profile.operator), Hpa(spec)

    def _read(self, world: World, pool: Pool) -> float | None:
        return self._profile.metric(pool) if world.is_readable else None

    def _poll(self, world: World, pool: Pool, activity: Activity) -> Callable[[], None]:
        return lambda: pool.scale(activity.poll(world.now, pool.wanted, self._read(world, pool)))

    def _sync(self, world: World, pool: Pool, hpa: Hpa) -> Callable[[], None]:
        return lambda: pool.scale(
            hpa.sync(world.now, pool.wanted, len(pool.pods), self._read(world, pool))
        )
