"""What a decision is made of: a pool's target, its backlog, its fleet.

A *replica* is one worker process (in a cluster: one pod) with `slots` prefork children, each of
which runs one job at a time. *Work-seconds* are seconds of one slot. All times are seconds
since the epoch, all durations seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """What a user asks of one pool. `drain_s` is the one value that has to be chosen."""

    name: str
    drain_s: float
    """Clear whatever is queued within this many seconds of its arrival."""
    slots: int = 4
    """Jobs that one replica runs at a time."""
    min_replicas: int = 0
    max_replicas: int = 50
    utilisation: float = 0.85
    """Share of the slots that a steady load may keep busy; the rest absorbs chance. Measured in the
    simulator's ramp: 0.8 costs 6 % more worker-seconds, for a p95 wait of 0.5 s in place of 1.6."""
    startup_s: float = 10.0
    """From the scale's change until the new replica takes its first job."""
    idle_after_s: float = 45.0
    """A pool is parked at `min_replicas` after so long without any work. Arbitrary; with the drain
    that follows about a minute, what others keep an idle pool for at least."""
    weight: float = 1.0
    """Share of a budget that does not suffice for all pools."""
    floor: int = 0
    """Replicas that a budget never takes from this pool while it needs them."""

    def __post_init__(self) -> None:
        for problem in _problems_of(self):
            raise ValueError(f"pool {self.name!r}: {problem}")


def _problems_of(pool: PoolTarget) -> list[str]:
    """One sentence for each value out of its range: what, which limit, what next."""
    checks = (
        (not _is_positive(pool.drain_s), "drain_s", pool.drain_s, "above 0 s, such as 60"),
        (pool.slots < 1, "slots", pool.slots, "at least 1"),
        (pool.min_replicas < 0, "min_replicas", pool.min_replicas, "at least 0"),
        (
            pool.max_replicas < max(1, pool.min_replicas),
            "max_replicas",
            pool.max_replicas,
            f"at least max(1, min_replicas) = {max(1, pool.min_replicas)}",
        ),
        (not 0.0 < pool.utilisation <= 1.0, "utilisation", pool.utilisation, "in (0, 1]"),
        (not _is_duration(pool.startup_s), "startup_s", pool.startup_s, "at least 0 s"),
        (not _is_duration(pool.idle_after_s), "idle_after_s", pool.idle_after_s, "at least 0 s"),
        (not _is_positive(pool.weight), "weight", pool.weight, "above 0"),
        (
            not 0 <= pool.floor <= pool.max_replicas,
            "floor",
            pool.floor,
            f"from 0 to max_replicas = {pool.max_replicas}",
        ),
    )
    return [f"{name} is {value}; set it {limit}" for wrong, name, value, limit in checks if wrong]


def _is_duration(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replicas of a pool as they were listed. A replica is in one of the four counts."""

    wanted: int
    """The scale as it stands (`spec.replicas`, or processes that were asked for)."""
    ready: int = 0
    """Up and taking jobs, idle ones included."""
    starting: int = 0
    """Asked for and not yet up; they count as capacity."""
    draining: int = 0
    """Told to take no more jobs, or ending."""
    idle: int = 0
    """Of the ready ones: those known to run nothing. No heartbeat means not idle."""
    rolling: bool = False
    """A rollout is on: replicas of two versions, whose order of removal we do not choose."""

    @property
    def capacity(self) -> int:
        """Replicas that take jobs now or as soon as they are up."""
        return self.ready + self.starting


@dataclass(frozen=True, slots=True)
class Backlog:
    """One reading of what a pool has to do. What could not be read is not a `Backlog`."""

    pool: str
    at: float
    """When it was read."""
    ready: int
    """Jobs in the broker that no worker holds, delayed ones that are due included."""
    unacked: int
    """Jobs that workers hold, running or fetched ahead."""
    busy: int
    """Slots that run a job, of replicas that are not ending; all slots of one without
    heartbeat."""
    work_s: float
    """Work-seconds of the ready jobs, by measured service time."""
    arrivals_per_s: float
    service_s: float
    """Mean service time of the jobs that arrive."""
    oldest_s: float = 0.0
    """Age of the oldest ready job; 0 without one."""
    longest_s: float = 0.0
    """Expected service time of the longest ready job; 0 where the mix is not known."""
    last_work_at: float = 0.0
    """When a job was last ready or running (from the ledger, so also between two readings)."""
    fleet: Fleet = field(default_factory=lambda: Fleet(wanted=0))

    @property
    def jobs(self) -> int:
        """Jobs that are not over."""
        return self.ready + max(self.unacked, self.busy)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reading that failed: the pool is held as it is, since unknown is not zero."""

    pool: str
    at: float
    reason: str
    """A sentence: what could not be read, and why."""
    wanted: int | None = None
    """The scale, where at least that could be read."""


Reading = Backlog | Unreadable
