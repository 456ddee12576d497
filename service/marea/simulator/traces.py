"""The named traces: what queues meet in practice, each a small function of a seed.

All sizes are arbitrary but not free: where the question is how fast a pool grows, there is more
work than the largest pool can do in its 60 s, as in the burst that KEDA's ladder is known for.
Service times are lognormal about a mean, as those of image and table work look.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from marea.simulator.trace import Job, PoolSpec, Trace

SPREAD = 0.3
"""Sigma of the lognormal service times: the 95th percentile is 1.6 times the mean."""


def _rng(name: str, seed: int) -> random.Random:
    return random.Random(f"{seed}:{name}")  # noqa: S311 - a simulation


def _work_s(rng: random.Random, mean_s: float) -> float:
    return rng.lognormvariate(math.log(mean_s) - SPREAD**2 / 2, SPREAD)


def _at_once(
    rng: random.Random, count: int, within_s: float, mean_s: float, start_s: float = 0.0
) -> list[Job]:
    """`count` jobs at uniform times within `within_s`."""
    return [Job(start_s + rng.uniform(0.0, within_s), _work_s(rng, mean_s)) for _ in range(count)]


def _steady(
    rng: random.Random, per_s: float, start_s: float, end_s: float, mean_s: float
) -> list[Job]:
    """A Poisson stream."""
    jobs, at_s = [], start_s
    while (at_s := at_s + rng.expovariate(per_s)) < end_s:
        jobs.append(Job(at_s, _work_s(rng, mean_s)))
    return jobs


def _ordered(*streams: list[Job]) -> tuple[Job, ...]:
    return tuple(sorted((job for stream in streams for job in stream), key=lambda job: job.at_s))


def burst(seed: int) -> Trace:
    """4,000 jobs of 4 s within 5 s, from nothing: 80 s of work for 200 slots."""
    rng = _rng("burst", seed)
    return Trace("burst", _about(burst), _ordered(_at_once(rng, 4000, 5.0, 4.0)))


def small_burst(seed: int) -> Trace:
    """400 jobs of 4 s within 5 s: eight replicas would do within the promise."""
    rng = _rng("small-burst", seed)
    return Trace("small-burst", _about(small_burst), _ordered(_at_once(rng, 400, 5.0, 4.0)))


def spikes(seed: int) -> Trace:
    """One job of 4 s a second, and five times, every 4 minutes, 2,500 within 10 s."""
    rng = _rng("spikes", seed)
    waves = [_at_once(rng, 2500, 10.0, 4.0, 30.0 + 240.0 * wave) for wave in range(5)]
    return Trace("spikes", _about(spikes), _ordered(_steady(rng, 1.0, 0.0, 1200.0, 4.0), *waves))


def ramp(seed: int) -> Trace:
    """Jobs of 4 s, from 0 to 36 a second within 5 minutes, and back to 0 in five more."""
    rng = _rng("ramp", seed)
    jobs, at_s, half_s, most_per_s = [], 0.0, 300.0, 36.0
    while (at_s := at_s + rng.expovariate(most_per_s)) < 2 * half_s:
        if rng.random() < 1 - abs(at_s - half_s) / half_s:
            jobs.append(Job(at_s, _work_s(rng, 4.0)))
    return Trace("ramp", _about(ramp), tuple(jobs))


def trickle(seed: int) -> Trace:
    """Half a slot kept busy for half an hour: a job of 2 s every 4 s, by chance."""
    rng = _rng("trickle", seed)
    return Trace("trickle", _about(trickle), _ordered(_steady(rng, 0.25, 0.0, 1800.0, 2.0)))


def long_tasks(seed: int) -> Trace:
    """100 jobs of 10 to 20 minutes and 300 of 2 s at once; after 7 minutes 60 long ones more."""
    rng = _rng("long", seed)

    def long_job(start_s: float) -> Job:
        return Job(start_s + rng.uniform(0, 10), rng.uniform(600, 1200), key="long")

    short = [Job(rng.uniform(0, 10), _work_s(rng, 2.0), key="short") for _ in range(300)]
    first = [long_job(0.0) for _ in range(100)]
    second = [long_job(420.0) for _ in range(60)]
    return Trace("long", _about(long_tasks), _ordered(first, short, second))


def mixed(seed: int) -> Trace:
    """3,000 thumbnails of 0.2 s and 400 tables of 60 s, shuffled, within 20 s."""
    rng = _rng("mixed", seed)
    small = [Job(rng.uniform(0, 20), _work_s(rng, 0.2), key="thumbnail") for _ in range(3000)]
    large = [Job(rng.uniform(0, 20), _work_s(rng, 60.0), key="table") for _ in range(400)]
    return Trace("mixed", _about(mixed), _ordered(small, large))


def outage(seed: int) -> Trace:
    """Steady, 10 jobs of 4 s a second for 10 minutes; from the 200th second on no metric can be
    read for 3 minutes, and half-way 4,000 more jobs come."""
    rng = _rng("outage", seed)
    steady = _steady(rng, 10.0, 0.0, 600.0, 4.0)
    jobs = _ordered(steady, _at_once(rng, 4000, 5.0, 4.0, 290.0))
    return Trace("outage", _about(outage), jobs, outages=((200.0, 380.0),))


def outage_at_peak(seed: int) -> Trace:
    """A burst as `burst`; from the 20th second on no metric can be read for 3 minutes, in which
    1,500 jobs of 4 s come: whoever grew fast has to hold the peak."""
    rng = _rng("outage-at-peak", seed)
    jobs = _ordered(_at_once(rng, 4000, 5.0, 4.0), _at_once(rng, 1500, 10.0, 4.0, 130.0))
    return Trace("outage-at-peak", _about(outage_at_peak), jobs, outages=((20.0, 200.0),))


def cold(seed: int) -> Trace:
    """A burst as `burst`, with room for 10 pods; more wait 60 to 120 s for a node of 10."""
    return Trace("cold", _about(cold), burst(seed).jobs, warm_pods=10)


def cap(seed: int) -> Trace:
    """Three pools under 30 replicas in all: thumbnails (0.5 s), tables (10 s), reports (30 s),
    whose bursts overlap."""
    rng = _rng("cap", seed)
    jobs = [
        *(Job(rng.uniform(0, 10), _work_s(rng, 10.0), "tables", "table") for _ in range(600)),
        *(Job(rng.uniform(40, 50), _work_s(rng, 0.5), "images", "image") for _ in range(4000)),
        *(Job(rng.uniform(70, 90), _work_s(rng, 30.0), "reports", "report") for _ in range(120)),
    ]
    pools = tuple(PoolSpec(name) for name in ("images", "tables", "reports"))
    return Trace("cap", _about(cap), _ordered(jobs), pools, cap=30)


def _about(make: Callable[[int], Trace]) -> str:
    return " ".join((make.__doc__ or "").split())


TRACES: dict[str, Callable[[int], Trace]] = {
    "burst": burst,
    "small-burst": small_burst,
    "spikes": spikes,
    "ramp": ramp,
    "trickle": trickle,
    "long": long_tasks,
    "mixed": mixed,
    "outage": outage,
    "outage-at-peak": outage_at_peak,
    "cold": cold,
    "cap": cap,
}
