"""What arrives, where it runs and what goes wrong meanwhile: the input of a simulation."""

from __future__ import annotations

from dataclasses import dataclass

SLOTS = 4
"""Prefork children of a worker in every named trace; arbitrary, the chart's default."""

MAX_REPLICAS = 50
"""Of a pool in every named trace: the ladder of KEDA's defaults is known for 0 to 50."""

DRAIN_S = 60.0
"""The promise a pool is given: clear what waits within this; a longer wait is an SLO miss."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job: when it is queued, and for how long it will keep a slot busy."""

    at_s: float
    work_s: float
    pool: str = "default"
    key: str = "job"
    """What service times are told apart by: pipeline and size class. Scalers may see it."""


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool as its owner set it."""

    name: str = "default"
    slots: int = SLOTS
    max_replicas: int = MAX_REPLICAS
    drain_s: float = DRAIN_S


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs in order of arrival, and the conditions that every scaler meets alike."""

    name: str
    about: str
    jobs: tuple[Job, ...]
    pools: tuple[PoolSpec, ...] = (PoolSpec(),)
    outages: tuple[tuple[float, float], ...] = ()
    """From, to: nobody can read any metric. Work goes on."""
    warm_pods: int | None = None
    """Pods that fit on the nodes that are there; None = all of them. More need new nodes."""
    cap: int | None = None
    """Replicas of all pools together, at most. A scaler that knows no such budget is given
    an equal share of it as each pool's maximum: the only way it could keep the cap."""

    @property
    def first_s(self) -> float:
        return self.jobs[0].at_s

    @property
    def last_s(self) -> float:
        return self.jobs[-1].at_s

    @property
    def outage_s(self) -> float:
        return sum(end - start for start, end in self.outages)

    @property
    def work_left_s(self) -> float:
        """What the pools need for all of it at most, each as large as it may become alone."""
        return max(self._alone_s(pool) for pool in self.pools)

    def _alone_s(self, pool: PoolSpec) -> float:
        works = [job.work_s for job in self.jobs if job.pool == pool.name]
        return max(works, default=0.0) + sum(works) / (pool.slots * self.alone_max(pool))

    def alone_max(self, pool: PoolSpec) -> int:
        """A pool's maximum under a scaler without a shared budget."""
        if self.cap is None:
            return pool.max_replicas
        return max(1, min(pool.max_replicas, self.cap // len(self.pools)))
