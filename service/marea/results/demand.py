"""What the ledger knows of the work that waits, per pool: the autoscaler's half of the signal.

The broker counts messages; only the ledger knows which pipelines and sizes they are of, since
when they wait, how many ever came, and how long such jobs took. All of it is counted as rows
are saved, so that asking costs the same with ten jobs and with a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marea.lifecycle.state import JobState
from marea.results.index import parse_lane
from marea.scaling.service_times import Kind, size_class


@dataclass(frozen=True, slots=True)
class Served:
    """Jobs of a kind that ended, and the seconds that they ran in all. Both only grow."""

    jobs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PoolDemand:
    """Of one pool; quarantined jobs count under "quarantine"."""

    queued: Mapping[Kind, int] = field(default_factory=dict)
    """Jobs published and not started, by kind."""
    running: int = 0
    oldest_at: float = 0.0
    """When the oldest queued job was last published; 0.0 without one."""
    arrived: int = 0
    """Jobs that ever came into the queue or straight to a worker; only grows."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One reading. After a loss of the ledger's data the counters start again at 0."""

    pools: Mapping[str, PoolDemand]
    served: Mapping[Kind, Served]


def kind_of(state: JobState) -> Kind:
    return Kind(state.job.pipeline, size_class(state.job.ref.size_bytes))


def kind_text(kind: Kind) -> str:
    """`web|5`. A pipeline's name holds no `|` (a-z, 0-9, `-`)."""
    return f"{kind.pipeline}|{kind.size_class}"


def parse_kind(text: str) -> Kind:
    """The inverse of `kind_text`. Raises ValueError."""
    pipeline, _, number = text.rpartition("|")
    return Kind(pipeline, int(number))


def ran_s(state: JobState) -> float | None:
    """Seconds that an ended job ran in its last start; None if that cannot be said."""
    if not state.is_terminal or state.started_at <= 0.0:
        return None
    return max(0.0, state.finished_at - state.started_at)


def demand_of(lanes: Sequence[Sequence[Any]], arrived: Any, jobs: Any, micros: Any) -> Demand:
    """From the reply of the script `DEMAND`.

    `lanes`: name, queued, running, score of the oldest or "", mix (kind, count, …). The others
    are alternating lists of field and value; the time served is in microseconds.
    """
    counters = {pool: int(count) for pool, count in _pairs(arrived)}
    pools = {pool: PoolDemand(arrived=count) for pool, count in counters.items()}
    for name, queued, running, oldest, mix in lanes:
        pool, _priority = parse_lane(name)
        if not int(queued) and not int(running):
            continue
        known = pools.get(pool, PoolDemand())
        kinds = dict(known.queued)
        for text, count in _pairs(mix):
            kind = parse_kind(text)
            kinds[kind] = kinds.get(kind, 0) + int(count)
        times = [at for at in (known.oldest_at, float(oldest or 0.0)) if at]
        pools[pool] = PoolDemand(
            queued=kinds,
            running=known.running + int(running),
            oldest_at=min(times, default=0.0),
            arrived=known.arrived,
        )
    spent = {text: int(value) / 1e6 for text, value in _pairs(micros)}
    served = {
        parse_kind(text): Served(int(count), spent.get(text, 0.0)) for text, count in _pairs(jobs)
    }
    return Demand(pools, served)


def _pairs(alternating: Sequence[Any]) -> list[tuple[str, Any]]:
    return list(zip(alternating[::2], alternating[1::2], strict=True))
