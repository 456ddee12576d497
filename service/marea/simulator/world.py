"""The clock of a simulation: events in order of time, and what all pools share."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

from marea.simulator.cluster import Cluster, Nodes
from marea.simulator.pool import Pool
from marea.simulator.scaler import Scaler
from marea.simulator.trace import Trace

MAX_TAIL_S = 4 * 3600.0
"""A run that is not drained so long after it could have been is given up. Arbitrary; four times
the longest wait that is set anywhere here, Redis' visibility timeout of 3,600 s."""


class World:
    """One run: a trace under a scaler. The scaler acts through `pools` and asks what it may."""

    def __init__(self, trace: Trace, scaler: Scaler, cluster: Cluster, seed: int) -> None:
        self.trace = trace
        self.cluster = cluster
        self.seed = seed
        self.now = 0.0
        self.scaler = scaler
        self._starts = self.random("starts")
        self._ties = self.random("ties")
        self.nodes = Nodes(cluster, trace.warm_pods, self.random("nodes"))
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._pod_numbers = count()
        self._unfinished = len(trace.jobs)
        self.pools = {spec.name: Pool(self, spec) for spec in trace.pools}

    def random(self, purpose: str) -> random.Random:
        """A stream of its own: what one part draws does not move another's draws."""
        return random.Random(f"{self.seed}:{purpose}")  # noqa: S311 - a simulation

    # ------------------------------------------------------------------ events

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), action))

    def every(self, period_s: float, first_s: float, action: Callable[[], None]) -> None:
        """`action` at `first_s` and then each period, as long as the run goes."""

        def tick() -> None:
            action()
            self.at(self.now + period_s, tick)

        self.at(first_s, tick)

    def run(self) -> None:
        """Until all is finished and no pod is left, or the tail is over."""
        for job in self.trace.jobs:
            self.at(job.at_s, self.pools[job.pool].arrival(job))
        self.scaler.begin(self)
        end_s = self.trace.last_s + MAX_TAIL_S + 2.0 * self.trace.work_left_s
        while self._events and not self.is_over:
            when_s, _, action = heapq.heappop(self._events)
            if when_s > end_s:
                self.now = end_s
                break
            self.now = when_s
            action()
        for pool in self.pools.values():
            pool.close()

    @property
    def is_over(self) -> bool:
        return self._unfinished == 0 and all(pool.is_empty for pool in self.pools.values())

    @property
    def is_drained(self) -> bool:
        return self._unfinished == 0

    # ------------------------------------------------------------------ asked by pools

    def job_finished(self) -> None:
        self._unfinished -= 1

    def next_start_s(self) -> float:
        """The k-th pod of a run takes the k-th draw, whoever scales: the same luck for all."""
        return self.cluster.start_s(self._starts)

    def next_pod(self) -> tuple[int, float]:
        return next(self._pod_numbers), self._ties.random()

    # ------------------------------------------------------------------ asked by scalers

    @property
    def is_readable(self) -> bool:
        """Whether metrics can be read now."""
        return not any(start <= self.now < end for start, end in self.trace.outages)
