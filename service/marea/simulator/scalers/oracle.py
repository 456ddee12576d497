"""A scaler that knows every arrival and every job's length, and may remove just whom it likes.

It is a bound, not a proof of the optimum. It has the same start-up times, nodes, maximum and cap
as all others, and starts nothing before the first arrival. A *plan* is a number N and a look-
ahead L: jobs are laid first come, first served on N replicas that are up one median start-up
after the first arrival; the replicas that this keeps busy at a time t are `need(t)`. At t the
oracle keeps the most of `need` between t and t + L, never fewer than the jobs that are there can
use (up to N); what is idle beyond that goes at once. `runs.run_oracle` plays all plans of a
family; of those that drain the trace within 2 % of the fastest, and of these the ones whose late
jobs (longer in the queue than the pool's `drain_s`) are within 1 % of all jobs of the fewest, it
takes the cheapest in worker-seconds.
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
    share: float
    """N as a share of each pool's maximum."""
    ahead_s: float
    """L. Less than a start-up would start replicas too late for what it knows of."""


FAMILY = tuple(
    Plan(share, ahead_s)
    for share in (1.0, 0.8, 0.6, 0.45, 0.35, 0.25, 0.12)
    for ahead_s in (15.0, 60.0)
)
"""15 s: the 95th percentile of a start. Finer grids changed no bound of the named traces by
more than a few percent; see docs/simulator.md."""


class OracleScaler(Scaler):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def begin(self, world: World) -> None:
        trace = world.trace
        ready_s = trace.first_s + world.cluster.start_median_s
        self._most: dict[str, int] = {}
        self._need: dict[str, list[int]] = {}
        for pool in world.pools.values():
            highest = pool.spec.max_replicas if trace.cap is None else trace.cap
            most = max(1, math.ceil(self._plan.share * min(highest, pool.spec.max_replicas)))
            jobs = [job for job in trace.jobs if job.pool == pool.spec.name]
            self._most[pool.spec.name] = most
            need = needed(jobs, pool.spec, most, ready_s, trace.first_s)
            self._need[pool.spec.name] = ahead(need, math.ceil(self._plan.ahead_s / TICK_S))
        world.every(TICK_S, trace.first_s, lambda: self._tick(world))

    def _tick(self, world: World) -> None:
        tick = math.floor((world.now - world.trace.first_s) / TICK_S)
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
    changes: dict[int, int] = {}
    last = 0
    for job in jobs:
        start_s = max(job.at_s, heapq.heappop(free))
        heapq.heappush(free, start_s + job.work_s)
        begin = math.floor((start_s - first_s) / TICK_S)
        end = math.ceil((start_s + job.work_s - first_s) / TICK_S)
        changes[begin] = changes.get(begin, 0) + 1
        changes[end] = changes.get(end, 0) - 1
        last = max(last, end)
    busy, needs = 0, []
    for tick in range(last + 1):
        busy += changes.get(tick, 0)
        # Slots that change hands within a tick are counted twice; there are no more than these.
        needs.append(min(replicas, math.ceil(busy / spec.slots)))
    return needs


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
