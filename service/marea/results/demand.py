"""What the ledger knows of the work that waits, per pool: the autoscaler's half of the signal.

The broker counts messages; only the ledger knows which pipelines and sizes they are of, since
when they wait, how many ever came, and how long such jobs took. All of it is counted as rows
are saved, so that asking costs the same with ten jobs and with a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marea.lifecycle.state import JobState
from marea.results.index import escaped, parse_lane, unescaped
from marea.scaling.service_times import Kind, size_class


@dataclass(frozen=True, slots=True)
class Served:
    """Jobs of a kind that ended, and the seconds that they ran in all. Both only grow."""

    jobs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """Jobs of a kind that run, and when they started on average (seconds since the epoch)."""

    jobs: int
    mean_at: float


@dataclass(frozen=True, slots=True)
class PoolDemand:
    """Of one pool; quarantined jobs count under "quarantine"."""

    queued: Mapping[Kind, int] = field(default_factory=dict)
    """Jobs published and not started, by kind."""
    running: int = 0
    started: Mapping[Kind, Started] = field(default_factory=dict)
    oldest_at: float = 0.0
    """When the oldest queued job was last published; 0.0 without one."""
    arrived: int = 0
    """Jobs that ever came into the queue or straight to a worker; only grows."""
    served: Mapping[Kind, Served] = field(default_factory=dict)


Demand = Mapping[str, PoolDemand]
"""By pool. After a loss of the ledger's data the counters start again at 0."""


def kind_of(state: JobState) -> Kind:
    return Kind(state.job.pipeline, size_class(state.job.ref.size_bytes))


def kind_text(kind: Kind) -> str:
    """`web|5`, in one line whatever the name: it stands in the first of a row."""
    return f"{escaped(kind.pipeline)}|{kind.size_class}"


def parse_kind(text: str) -> Kind:
    """The inverse of `kind_text`. Raises ValueError."""
    pipeline, _, number = text.rpartition("|")
    return Kind(unescaped(pipeline), int(number))


def ran_s(state: JobState) -> float | None:
    """Seconds that an ended job ran in its last start; None if that cannot be said."""
    if not state.is_terminal or state.started_at <= 0.0:
        return None
    return max(0.0, state.finished_at - state.started_at)


def demand_of(lanes: Sequence[Sequence[Any]], arrived: Any, jobs: Any, micros: Any) -> Demand:
    """From the reply of the script `DEMAND`.

    `lanes`: name, queued, running, score of the oldest or "", mix (kind, count, …), runs
    (`jobs|kind`, count, `starts|kind`, sum of starts in milliseconds, …). The others
    are alternating lists of field and value; the time served is in microseconds.
    """
    spent = {text: int(value) / 1e6 for text, value in _pairs(micros)}
    served: dict[str, dict[Kind, Served]] = {}
    for text, count in _pairs(jobs):
        pool, _, kind_name = text.partition("|")
        kinds = served.setdefault(pool, {})
        kinds[parse_kind(kind_name)] = Served(int(count), spent.get(text, 0.0))
    counters = {pool: int(count) for pool, count in _pairs(arrived)}
    pools = {
        pool: PoolDemand(arrived=counters.get(pool, 0), served=served.get(pool, {}))
        for pool in counters.keys() | served.keys()
    }
    for name, queued, running, oldest, mix, runs in lanes:
        pool, _priority = parse_lane(name)
        if int(queued) or int(running):
            known = _with_runs(pools.get(pool, PoolDemand()), int(running), runs)
            pools[pool] = _with_queue(known, float(oldest or 0.0), mix)
    return pools


def _with_runs(known: PoolDemand, running: int, runs: Sequence[Any]) -> PoolDemand:
    texts = dict(_pairs(runs))
    started = dict(known.started)
    for text, count in texts.items():
        what, _, kind_name = text.partition("|")
        if what != "jobs":
            continue
        before = started.get(parse_kind(kind_name), Started(0, 0.0))
        jobs = before.jobs + int(count)
        sum_s = before.jobs * before.mean_at + int(texts[f"starts|{kind_name}"]) / 1000
        started[parse_kind(kind_name)] = Started(jobs, sum_s / jobs)
    return replace(known, running=known.running + running, started=started)


def _with_queue(known: PoolDemand, oldest_at: float, mix: Sequence[Any]) -> PoolDemand:
    kinds = dict(known.queued)
    for text, count in _pairs(mix):
        kind = parse_kind(text)
        kinds[kind] = kinds.get(kind, 0) + int(count)
    return replace(
        known,
        queued=kinds,
        oldest_at=min((at for at in (known.oldest_at, oldest_at) if at), default=0.0),
    )


def _pairs(alternating: Sequence[Any]) -> list[tuple[str, Any]]:
    return list(zip(alternating[::2], alternating[1::2], strict=True))
