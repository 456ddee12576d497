"""What a run looked like, second by second, for the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marea.simulator.scaler import Scaler

if TYPE_CHECKING:
    from marea.simulator.pod import Pod, Task
    from marea.simulator.pool import Pool
    from marea.simulator.world import World

LOOK_S = 1.0


@dataclass(slots=True)
class Series:
    """Of all pools together, one value a look. `arrivals` are those since the last look."""

    at_s: list[float] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)
    backlog: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Busy slots as replicas: their number over the slots of one."""


class Observer(Scaler):
    """Passes everything on to the scaler that it watches."""

    def __init__(self, inner: Scaler) -> None:
        self.profile = inner.profile
        self.series = Series()
        self._inner = inner
        self._arrived = 0

    def begin(self, world: World) -> None:
        world.every(LOOK_S, world.trace.first_s, lambda: self._look(world))
        self._inner.begin(world)

    def arrived(self, pool: Pool, task: Task) -> None:
        self._arrived += 1
        self._inner.arrived(pool, task)

    def pod_ready(self, pool: Pool, pod: Pod) -> None:
        self._inner.pod_ready(pool, pod)

    def finished(self, pool: Pool, task: Task, took_s: float) -> None:
        self._inner.finished(pool, task, took_s)

    def _look(self, world: World) -> None:
        pools = world.pools.values()
        series = self.series
        series.at_s.append(world.now)
        series.arrivals.append(self._arrived)
        self._arrived = 0
        series.backlog.append(sum(pool.ready_messages for pool in pools))
        series.wanted.append(sum(pool.wanted for pool in pools))
        series.ready.append(sum(pool.ready_pods for pool in pools))
        series.busy.append(sum(pool.running / pool.spec.slots for pool in pools))
