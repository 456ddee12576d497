"""What a run is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marea.simulator.world import World


@dataclass(frozen=True, slots=True)
class Score:
    """Of all pools together. The names are those of `--json`."""

    drain_s: float | None
    """From the first arrival to the end of the last job; None if some job never ended."""
    wait_p50_s: float
    """From arrival to the start of the run that finished the job."""
    wait_p95_s: float
    wait_p99_s: float
    first_start_s: float
    """From the first arrival to the first start of any job."""
    worker_seconds: float
    """Of every replica from its creation to its end, starting and ending included."""
    overshoot: float
    """Highest scale less the most replicas that were busy at the same time, over the pools."""
    interrupted: float
    """Runs that SIGKILL ended."""
    lost_work_s: float
    """What those runs had done."""
    actions: float
    """Changes of a scale."""
    slo_misses: float
    """Jobs that waited longer than their pool's `drain_s`, or never ended."""

    def as_json(self) -> dict[str, float | None]:
        return {
            name: None if value is None else round(value, 3) for name, value in asdict(self).items()
        }


def score(world: World) -> Score:
    """Judge a run that is over."""
    pools = world.pools.values()
    waits, misses, first_s, last_s = [], 0, math.inf, 0.0
    for pool in pools:
        for task in pool.tasks:
            if task.first_started_s is not None:
                first_s = min(first_s, task.first_started_s)
            if task.finished_s is None or task.started_s is None:
                waits.append(world.now - task.job.at_s)
                misses += 1
                continue
            last_s = max(last_s, task.finished_s)
            waits.append(task.started_s - task.job.at_s)
            misses += waits[-1] > pool.spec.drain_s
    waits.sort()
    arrived_s = world.trace.first_s
    return Score(
        drain_s=last_s - arrived_s if world.is_drained else None,
        wait_p50_s=percentile(waits, 0.50),
        wait_p95_s=percentile(waits, 0.95),
        wait_p99_s=percentile(waits, 0.99),
        first_start_s=min(first_s, world.now) - arrived_s,
        worker_seconds=sum(pool.worker_seconds for pool in pools),
        overshoot=sum(max(0, pool.peak - pool.peak_busy) for pool in pools),
        interrupted=sum(pool.interrupted for pool in pools),
        lost_work_s=sum(pool.lost_work_s for pool in pools),
        actions=sum(pool.actions for pool in pools),
        slo_misses=misses,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: a value that occurred. 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def middle(scores: Sequence[Score]) -> Score:
    """The median of each figure over the seeds; a drain that any seed never saw is unknown."""
    figures: dict[str, float | None] = {}
    for each in fields(Score):
        values = [getattr(one, each.name) for one in scores]
        figures[each.name] = None if None in values else median(values)
    return Score(**figures)  # type: ignore[arg-type]  # only drain_s can be None
