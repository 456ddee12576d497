"""How many slots keep waits short: the queueing model behind `marea capacity`.

Jobs come at a steady rate to `n` slots that take them in order of arrival from one queue. With
Poisson arrivals and exponential service times that is M/M/n, whose chance that a job has to wait
is Erlang's C formula [1]; we take it by the recurrence of his B formula, which is stable for any
number of slots [2]. Those who wait do so for an exponential time of mean s / (n (1 - load)).

Real service times are no exponentials. Allen and Cunneen [3] multiply the mean wait by
(ca² + cs²) / 2, with the coefficients of variation of the gaps between arrivals and of service
times. We keep Erlang's chance to wait and stretch the exponential tail by that factor, so that

    P(wait > t) = C(n, a) * exp(-t / tau),   tau = s / (n (1 - load)) * (ca² + cs²) / 2

It is exact for M/M/n, and in heavy traffic the limit for all [4]. Where it is wrong, see
docs/capacity.md: correlated arrivals, and loads that do not stay for long enough to settle.

[1] A. K. Erlang, 1917; L. Kleinrock, Queueing Systems 1, Wiley 1975, section 3.5.
[2] D. L. Jagerman, Some properties of the Erlang loss function, Bell System Technical Journal
    53 (1974).
[3] A. O. Allen, Probability, Statistics, and Queueing Theory, 2nd edition, Academic Press 1990,
    chapter 5; W. Whitt, Approximations for the GI/G/m queue, Production and Operations
    Management 2 (1993), on its range.
[4] J. Köllerström, Heavy traffic theory for queues with several servers, Journal of Applied
    Probability 11 (1974).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

SHARE = 0.95
"""Of the jobs that are to wait no longer than was asked: what p95 means."""

MAX_OFFERED = 1_000_000.0
"""Slots that may be busy on average. Arbitrary: 1,700 hours of work come in every minute; the
recurrence takes about 0.2 s for so many."""


@dataclass(frozen=True, slots=True)
class Load:
    """Jobs as they come, and how long they take."""

    per_s: float
    """Arrivals."""
    service_s: float
    """Mean time that a job keeps its slot."""
    service_cv: float = 1.0
    """Standard deviation of service times over their mean. 1: as exponential ones; 0: all alike."""
    arrival_cv: float = 1.0
    """The same of the gaps between arrivals. 1: independent uploads of many people (Poisson)."""

    @property
    def offered(self) -> float:
        """Slots that are busy on average, in erlangs."""
        return self.per_s * self.service_s

    @property
    def variability(self) -> float:
        """Allen's and Cunneen's factor: 1 for M/M/n."""
        return (self.arrival_cv**2 + self.service_cv**2) / 2.0

    def times(self, factor: float) -> Load:
        """The same jobs, so many times as often."""
        return replace(self, per_s=self.per_s * factor)


def erlang_b(slots: int, offered: float) -> float:
    """The chance that a job meets all of `slots` busy where nobody can wait."""
    for count, blocked in _recurrence(offered):
        if count == slots:
            return blocked
    raise AssertionError("the recurrence has no end")


def erlang_c(slots: int, offered: float) -> float:
    """The chance that a job has to wait at all; 1 where the slots do not suffice."""
    if offered >= slots:
        return 1.0
    return _waiting(slots, offered, erlang_b(slots, offered))


def wait_s(load: Load, slots: int, share: float = SHARE) -> float:
    """What `share` of the jobs wait at most; infinite where the slots do not suffice."""
    if load.offered >= slots:
        return math.inf
    return _quantile_s(load, slots, erlang_c(slots, load.offered), share)


def mean_wait_s(load: Load, slots: int) -> float:
    """Of all jobs, those that do not wait included."""
    if load.offered >= slots:
        return math.inf
    return erlang_c(slots, load.offered) * _tail_s(load, slots)


def slots_for(load: Load, most_s: float, share: float = SHARE) -> int:
    """The fewest slots with which `share` of the jobs wait no longer than `most_s`.

    `load.offered` is at most `MAX_OFFERED`. More slots never wait longer, so the first number that
    does is the answer.
    """
    for slots, blocked in _recurrence(load.offered):
        if slots > load.offered:
            chance = _waiting(slots, load.offered, blocked)
            if _quantile_s(load, slots, chance, share) <= most_s:
                return slots
    raise AssertionError("with slots enough nobody waits")


def _recurrence(offered: float) -> Iterator[tuple[int, float]]:
    """Erlang's B of 0, 1, 2, … slots. Every term lies in [0, 1] and errors shrink from one to the
    next, unlike those of the formula's factorials."""
    slots, blocked = 0, 1.0
    while True:
        yield slots, blocked
        slots += 1
        blocked = offered * blocked / (slots + offered * blocked)


def _waiting(slots: int, offered: float, blocked: float) -> float:
    return blocked / (1.0 - offered / slots * (1.0 - blocked))


def _tail_s(load: Load, slots: int) -> float:
    """The mean wait of those who wait."""
    return load.service_s / (slots - load.offered) * load.variability


def _quantile_s(load: Load, slots: int, chance: float, share: float) -> float:
    beyond = 1.0 - share
    if chance <= beyond:
        return 0.0
    return _tail_s(load, slots) * math.log(chance / beyond)
