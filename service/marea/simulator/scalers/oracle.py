"""A scaler that knows every arrival and every job's length, and may remove just whom it likes.

It is a bound, not a proof of the optimum. It has the same start-up times, nodes, maximum and cap
as all others, and starts nothing before the first arrival. A *plan* is a number N and a look-
ahead L: jobs are laid first come, first served on N replicas a pool that are up one median
start-up after the first arrival; the replicas that this keeps busy at a time t are `need(t)`. At
t the oracle keeps the most of `need` between t and t + L, and never fewer than the jobs that are
there can use (up to N); what is idle beyond that goes at once.

`runs.best_plan` plays plans in which N is the maximum, for each L; the shortest drain and the
fewest late jobs (longer in the queue than the pool's `drain_s`) among these are as good as it
gets. For each L it then searches the smallest N that drains within 2 % of that and is late for at
most 1 % of all jobs more, and of these plans takes the cheapest in worker-seconds.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marea.simulator.pod import Phase
from marea.simulator.scaler import Scaler
from marea.simulator.trace import Job, PoolSpec

if TYPE_CHECKING:
    from marea.simulator.pool import Pool
    from marea.simulator.world import World

TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    replicas: int
    """N, for each pool; a pool's own maximum may be less."""
    ahead_s: float
    """L. Less than a start-up would start replicas too late for what it knows of."""


AHEADS_S = (10.0, 30.0)
"""10 s: nine of ten starts are shorter. 60 s was the cheapest on none of the named traces."""


class OracleScaler(Scaler):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def begin(self, world: World) -> None:
        trace = world.trace
        ready_s = trace.first_s + world.cluster.start_median_s
        self._most: dict[str, int] = {}
        self._need: dict[str, list[int]] = {}
        for pool in world.pools.values():
            most = min(self._plan.replicas, pool.spec.max_replicas)
            jobs = [job for job in trace.jobs if job.pool == pool.spec.name]
            self._most[pool.spec.name] = most
            need = needed(jobs, pool.spec, most, ready_s, trace.first_s)
            self._need[pool.spec.name] = ahead(need, math.ceil(self._plan.ahead_s / TICK_S))
        world.every(TICK_S, trace.first_s, lambda: self._tick(world))

    def _tick(self, world: World) -> None:
        tick = round((world.now - world.trace.first_s) / TICK_S)
        pools = list(world.pools.values())
        targets = [self._target(pool, tick) for pool in pools]
        if world.trace.cap is not None:
            targets = fill(targets, world.trace.cap)
        for pool, target in zip(pools, targets, strict=True):
            if target < pool.wanted:
                idle = [pod for pod in pool.pods if pod.phase is Phase.READY and pod.is_idle]
                pool.retire(idle[: pool.wanted - target])
        room = math.inf if world.trace.cap is None else world.trace.cap
        room -= sum(pool.wanted for pool in pools)
        for pool, target in zip(pools, targets, strict=True):
            more = int(min(room, max(0, target - pool.wanted)))
            room -= more
            if more:
                pool.scale(pool.wanted + more)

    def _target(self, pool: Pool, tick: int) -> int:
        name = pool.spec.name
        planned = self._need[name][tick] if tick < len(self._need[name]) else 0
        usable = math.ceil((pool.ready_messages + pool.unacked) / pool.spec.slots)
        return min(self._most[name], max(planned, usable))


def needed(
    jobs: Sequence[Job], spec: PoolSpec, replicas: int, ready_s: float, first_s: float
) -> list[int]:
    """Replicas that first come, first served on `replicas` keeps busy, per tick of 1 s."""
    free = [ready_s] * (replicas * spec.slots)
    changes: list[tuple[float, int]] = []
    for job in jobs:
        start_s = max(job.at_s, heapq.heappop(free))
        end_s = start_s + job.work_s
        heapq.heappush(free, end_s)
        changes += [(start_s, 1), (end_s, -1)]
    changes.sort()
    busy, most = 0, [0] * (math.ceil((changes[-1][0] - first_s) / TICK_S) + 1 if changes else 0)
    at_s = first_s
    for when_s, change in changes:
        for tick in range(_tick_of(at_s, first_s), _tick_of(when_s, first_s) + 1):
            most[tick] = max(most[tick], busy)
        busy, at_s = busy + change, when_s
    return [math.ceil(slots / spec.slots) for slots in most]


def _tick_of(at_s: float, first_s: float) -> int:
    return math.floor((at_s - first_s) / TICK_S)


def ahead(values: Sequence[int], ticks: int) -> list[int]:
    """The highest of each value and the `ticks` after it."""
    highest: list[int] = [0] * len(values)
    window: deque[int] = deque()
    for position in range(len(values) - 1, -1, -1):
        while window and values[window[-1]] <= values[position]:
            window.pop()
        window.append(position)
        if window[0] > position + ticks:
            window.popleft()
        highest[position] = values[window[0]]
    return highest


def fill(targets: Sequence[int], cap: int) -> list[int]:
    """`targets` cut to `cap` in all: one replica at a time to whoever has least and wants more."""
    given = [0] * len(targets)
    for _ in range(min(cap, sum(targets))):
        short = [position for position, want in enumerate(targets) if given[position] < want]
        given[min(short, key=lambda position: given[position])] += 1
    return given
