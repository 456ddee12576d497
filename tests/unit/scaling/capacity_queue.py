"""A queue played job by job, with seeded chance: what the formulas are held against."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from random import Random

from marea.scaling.capacity import Load
from marea.scaling.capacity_peak import Peak, Ramp

Draw = Callable[[], float]


def times(random: Random, mean_s: float, cv: float) -> Draw:
    """Constant, exponential, or log-normal, as the coefficient of variation says."""
    if cv == 0.0:
        return lambda: mean_s
    if cv == 1.0:
        return lambda: random.expovariate(1.0 / mean_s)
    variance = math.log(1.0 + cv * cv)
    middle = math.log(mean_s) - variance / 2.0
    return lambda: random.lognormvariate(middle, math.sqrt(variance))


def p95_wait_s(load: Load, slots: int, jobs: int, seed: int = 1) -> float:
    """At a steady rate, without the first tenth, which settles."""
    random = Random(seed)
    gap = times(random, 1.0 / load.per_s, load.arrival_cv)
    service = times(random, load.service_s, load.service_cv)
    free, now_s, waits = [0.0] * slots, 0.0, []
    for number in range(jobs):
        now_s += gap()
        starts_s = max(now_s, free[0])
        heapq.heapreplace(free, starts_s + service())
        if number > jobs // 10:
            waits.append(starts_s - now_s)
    return _p95(waits)


def p95_wait_in_peak_s(load: Load, peak: Peak, ramp: Ramp, runs: int) -> float:
    """Of the jobs that come in the peak, over so many of them, each after a usual time.

    Arrivals are independent."""
    waits = []
    for seed in range(runs):
        random = Random(seed)
        service = times(random, load.service_s, load.service_cv)
        now_s = -70.0 * load.service_s
        free = [now_s] * ramp.before + [ramp.startup_s] * (ramp.after - ramp.before)
        while now_s < peak.lasts_s:
            now_s += random.expovariate(load.per_s * (peak.factor if now_s >= 0.0 else 1.0))
            starts_s = max(now_s, free[0])
            heapq.heapreplace(free, starts_s + service())
            if 0.0 <= now_s < peak.lasts_s:
                waits.append(starts_s - now_s)
    return _p95(waits)


def _p95(waits: list[float]) -> float:
    return sorted(waits)[math.ceil(0.95 * len(waits)) - 1]
