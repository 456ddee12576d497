"""What a peak does to a pool: the queue it leaves, the waits in it, the time until it is gone.

A peak is `factor` times the usual rate for `lasts_s`. While more comes than the slots take, the
queue grows by the difference (a fluid: G. F. Newell, Applications of Queueing Theory, 2nd edition,
Chapman and Hall 1982, chapter 2), and chance adds to it as to a random walk, whose variance per
second is that of arrivals and departures. Where the slots take all that comes, the peak is a steady
load of its own, and the shorter of both waits counts: a short peak has no time to settle.

Not for peaks as short as a job: a slot that takes one job does not take half of the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from marea.scaling.capacity import SHARE, Load, slots_for, wait_s

DEVIATIONS = 1.96
"""Of a normal distribution, beyond which 5 % lie on either side: what a random walk that cannot go
below zero exceeds with 5 %. Derived."""

POINTS = 400
"""At which the peak's arrivals are looked at; a p95 is then known to a 400th of the peak."""


@dataclass(frozen=True, slots=True)
class Peak:
    """`factor` times the usual rate for `lasts_s`."""

    factor: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Ramp:
    """Slots at the peak's beginning, and those there are from `startup_s` on."""

    before: int
    after: int
    startup_s: float = 0.0

    @classmethod
    def steady(cls, slots: int) -> Ramp:
        return cls(slots, slots)


@dataclass(frozen=True, slots=True)
class Absorbed:
    """A peak as a pool lived through it."""

    backlog: float
    """Jobs in the queue when they are most."""
    backlog_at_end: float
    """When the peak is over."""
    p95_wait_s: float
    """Of the jobs that came in the peak."""
    longest_wait_s: float
    """By the fluid alone: of the mean peak, not of the worst."""
    drain_s: float
    """From the peak's end until the queue is as usual; infinite if the slots do not suffice for
    the usual rate either."""


def absorb(load: Load, peak: Peak, ramp: Ramp) -> Absorbed:
    """Jobs of `load`, and a peak of them, upon `ramp`."""
    fluid = _Fluid(load, peak, ramp)
    times = [peak.lasts_s * (number + 0.5) / POINTS for number in range(POINTS)]
    turns = [min(ramp.startup_s, peak.lasts_s), peak.lasts_s]
    waits = sorted(fluid.wait_s(at_s) for at_s in times)
    # Chance, as far as it can go in the whole peak, or before the start of the last slots and then
    # as in a steady load.
    settled_s = fluid.chance_s(turns[0]) + wait_s(load.times(peak.factor), ramp.after)
    p95_s = waits[math.ceil(SHARE * POINTS) - 1] + min(fluid.chance_s(peak.lasts_s), settled_s)
    start_s = max(ramp.startup_s, peak.lasts_s)
    return Absorbed(
        backlog=max(fluid.backlog(at_s) for at_s in (*turns, start_s)),
        backlog_at_end=fluid.backlog(peak.lasts_s),
        p95_wait_s=p95_s,
        longest_wait_s=max(*waits, *(fluid.wait_s(at_s) for at_s in turns)),
        drain_s=fluid.drain_s(),
    )


def slots_for_peak(load: Load, peak: Peak, most_s: float, slots_each: int) -> int:
    """The fewest replicas, of `slots_each`, that have to be ready when the peak begins, so that
    95 % of the jobs that come in it wait no longer than `most_s`; in slots. Never fewer than the
    usual load needs."""
    low = math.ceil(slots_for(load, most_s) / slots_each)
    high = math.ceil(slots_for(load.times(peak.factor), most_s) / slots_each)
    while low < high:
        middle = (low + high) // 2
        if absorb(load, peak, Ramp.steady(middle * slots_each)).p95_wait_s <= most_s:
            high = middle
        else:
            low = middle + 1
    return low * slots_each


class _Fluid:
    """The queue without chance: it grows and shrinks along straight lines."""

    def __init__(self, load: Load, peak: Peak, ramp: Ramp) -> None:
        self._load, self._lasts_s, self._startup_s = load, peak.lasts_s, ramp.startup_s
        self._crowd = load.times(peak.factor)
        self._before = ramp.before / load.service_s
        self._after = ramp.after / load.service_s

    def backlog(self, at_s: float) -> float:
        """Jobs that wait `at_s` after the peak's beginning."""
        queue, now_s = 0.0, 0.0
        for turn_s in sorted({min(at_s, self._startup_s), min(at_s, self._lasts_s), at_s}):
            rate = self._crowd.per_s if now_s < self._lasts_s else self._load.per_s
            served = self._before if now_s < self._startup_s else self._after
            queue = max(0.0, queue + (rate - served) * (turn_s - now_s))
            now_s = turn_s
        return queue

    def wait_s(self, at_s: float) -> float:
        """Of a job that comes then."""
        queue = self.backlog(at_s)
        early_s = max(0.0, self._startup_s - at_s)
        early = early_s * self._before
        if queue <= early:
            return queue / self._before if queue else 0.0
        return early_s + (queue - early) / self._after

    def chance_s(self, lasts_s: float) -> float:
        """What chance adds to the p95 wait in so many seconds of the peak."""
        load = self._crowd
        served = min(self._after, load.per_s)
        variance = load.per_s * load.arrival_cv**2 + served * load.service_cv**2
        return DEVIATIONS * math.sqrt(variance * SHARE * lasts_s) / self._after

    def drain_s(self) -> float:
        """From the peak's end."""
        start_s = max(self._startup_s, self._lasts_s)
        queue, spare = self.backlog(start_s), self._after - self._load.per_s
        if queue <= 0.0:
            before = self._before - self._load.per_s
            left = self.backlog(self._lasts_s)
            return left / before if left else 0.0
        return start_s - self._lasts_s + queue / spare if spare > 0.0 else math.inf
