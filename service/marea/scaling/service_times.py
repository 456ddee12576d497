"""The averages that the policy rests on: service time per pipeline and size class, arrivals.

All values are immutable: `seen` and `read` return the next one, so a decision can be made again
from what it was made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

UNKNOWN_SERVICE_S = 10.0
"""Assumed of a pipeline of which no job was measured yet. Arbitrary; as long as a replica takes
to start: too few of these jobs' replicas cost minutes of waiting, too many a start each. The
first job that ends corrects it."""

NEWEST_WEIGHT = 0.02
"""The share of the newest job in the mean of its kind. Arbitrary: the last 100 jobs make 87 %."""

OVERALL_WEIGHT = 0.01
"""The same for the mean of all jobs, which differ more. Arbitrary: the last 200 make 87 %."""

MAX_KINDS = 1000
"""Kinds kept; the one that was least seen goes. Pipelines are tens, size classes a dozen."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs that are expected to take about as long."""

    pipeline: str
    size_class: int
    """Files of size_bytes <= 4**n KiB; see `size_class`."""


def size_class(size_bytes: int) -> int:
    """0 up to 1 KiB, then one class for each factor of 4 (derived: time grows about with the
    size, so within a class it differs by a factor of 2 from its middle)."""
    return 0 if size_bytes <= 1024 else math.ceil(math.log(size_bytes / 1024, 4))


@dataclass(frozen=True, slots=True)
class Mean:
    """An exponentially weighted mean that starts as the plain one."""

    mean_s: float
    count: int

    def with_more(self, jobs: int, seconds: float, weight: float = NEWEST_WEIGHT) -> Mean:
        """With `jobs` more that took `seconds` in all."""
        count = self.count + jobs
        weight = max(1.0 - (1.0 - weight) ** jobs, jobs / count)
        return Mean(self.mean_s + weight * (seconds / jobs - self.mean_s), count)


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """What jobs took, per kind; a kind not seen yet is estimated by its neighbours."""

    kinds: Mapping[Kind, Mean] = field(default_factory=dict)
    overall: Mean = Mean(0.0, 0)

    def seen(self, kind: Kind, seconds: float, jobs: int = 1) -> ServiceTimes:
        """With so many more finished jobs, which took `seconds` in all. What makes no sense is
        left out."""
        if jobs < 1 or not (math.isfinite(seconds) and seconds >= 0.0):
            return self
        kinds = dict(self.kinds)
        kinds[kind] = kinds.get(kind, Mean(0.0, 0)).with_more(jobs, seconds)
        if len(kinds) > MAX_KINDS:
            rarest = min((k for k in kinds if k != kind), key=lambda k: kinds[k].count)
            del kinds[rarest]
        return ServiceTimes(kinds, self.overall.with_more(jobs, seconds, OVERALL_WEIGHT))

    def with_running(self, elapsed: Mapping[Kind, Sequence[float]]) -> ServiceTimes:
        """Corrected by jobs that have not ended: how long those of each kind have run so far.

        Only what ended was `seen`, and short jobs end first. On average a running job is half
        over, so where the running ones of a kind have on average run for longer than its mean,
        they will take about twice what they have run.
        """
        kinds, overall = dict(self.kinds), self.overall
        for kind, seconds in elapsed.items():
            if not seconds:
                continue
            so_far_s = sum(seconds) / len(seconds)
            if so_far_s > self.expected_s(kind):
                known = kinds.get(kind)
                kinds[kind] = Mean(2.0 * so_far_s, known.count if known else 0)
        return ServiceTimes(kinds, overall)

    def expected_s(self, kind: Kind) -> float:
        """Of this kind; else of the same pipeline's nearest size; else unknown, or the mean of
        all where that is longer."""
        known = self.kinds.get(kind)
        if known is not None:
            return known.mean_s
        near = [each for each in self.kinds if each.pipeline == kind.pipeline]
        if near:
            nearest = min(
                near, key=lambda each: (abs(each.size_class - kind.size_class), each.size_class)
            )
            return self.kinds[nearest].mean_s
        return max(self.mean_s, UNKNOWN_SERVICE_S)

    @property
    def mean_s(self) -> float:
        """Of the jobs as they come, each kind by how often it comes."""
        return self.overall.mean_s if self.overall.count else UNKNOWN_SERVICE_S

    def work_s(self, mix: Mapping[Kind, int]) -> float:
        """Work-seconds of so many jobs of each kind."""
        return sum(count * self.expected_s(kind) for kind, count in mix.items())

    def longest_s(self, kinds: Iterable[Kind]) -> float:
        return max((self.expected_s(kind) for kind in kinds), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads back."""
        return {
            "overall": [self.overall.mean_s, self.overall.count],
            "kinds": [
                [kind.pipeline, kind.size_class, mean.mean_s, mean.count]
                for kind, mean in self.kinds.items()
            ],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            {
                Kind(str(row[0]), int(row[1])): Mean(float(row[2]), int(row[3]))
                for row in body["kinds"]
            },
            Mean(float(body["overall"][0]), int(body["overall"][1])),
        )


FAST_S, SLOW_S = 10.0, 60.0
"""Time constants of the two rates. Arbitrary: the slow one steadies a trickle, the fast one
follows a ramp and forgets a burst before its replicas have outlived their work."""

AHEAD_S = 10.0
"""How far a rising or falling rate is carried on: what is started now takes so long to start."""

CHANCE = 2.0
"""Standard deviations by which the fast average may differ from the slow one by chance: that of
a rate of Poisson arrivals averaged over a time constant t is sqrt(rate / 2t). 2: 1 in 22."""

SILENT_GAPS = 5.0
"""After a silence of so many mean gaps (and `FAST_S`) arrivals have stopped. Derived: of Poisson
arrivals 1 gap in 148 is as long."""


LASTING_S = 15.0
"""Arrivals that have lasted for less count in proportion: they are a burst until they go on, which
is work that waits and no rate. Measured in the simulator: the longer, the fewer replicas answer a
small burst, and the later more answer long jobs that come at once. With 8 s in place of 15 a small
burst costs 1.4 times the oracle's worker-seconds and not 1.25, and long jobs wait less."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Arrivals per second: a slow average, unless a fast one differs by more than chance.

    So a steady load has a steady rate, and a changing one is followed within `FAST_S` and carried
    on for `AHEAD_S`. Between arrivals further apart than that both averages vanish, and the mean
    gap still knows better.
    """

    at: float
    """Of the last reading."""
    fast_per_s: float = 0.0
    slow_per_s: float = 0.0
    total: int | None = None
    """Jobs counted so far, to take the next reading's difference from."""
    last_at: float | None = None
    """When arrivals were last seen."""
    gap_s: float | None = None
    """Mean time between two arrivals; None before the second."""
    begun_at: float | None = None
    """When they began after a silence."""
    rising_at: float | None = None
    """Since when they have been more than before; None unless they are."""

    def read(self, total: int, now: float) -> Arrivals:
        """With the counter of arrivals read again. A counter or clock that went back starts
        again from there, without a guess at what was missed."""
        if self.total is None or total < self.total or now < self.at:
            return replace(self, at=now, total=total, last_at=None, begun_at=None, rising_at=None)
        elapsed_s = now - self.at
        if elapsed_s <= 0.0:
            return self
        count = total - self.total
        read = Arrivals(
            now,
            _decayed(self.fast_per_s, count, elapsed_s, FAST_S),
            _decayed(self.slow_per_s, count, elapsed_s, SLOW_S),
            total,
            now if count else self.last_at,
            self._gap_after(count, now),
        )
        begun_at = self.at if self.begun_at is None or self._has_stopped else self.begun_at
        rising_at = self.at if self.rising_at is None else self.rising_at
        return replace(
            read,
            begun_at=begun_at if count or self.begun_at is not None else None,
            rising_at=rising_at if read._near > read.slow_per_s else None,
        )

    def _gap_after(self, count: int, now: float) -> float | None:
        if not count:
            return self.gap_s
        if self.last_at is None and count == 1:
            return self.gap_s
        gap_s = (now - (self.at if self.last_at is None else self.last_at)) / count
        if self.gap_s is None:
            return gap_s
        return self.gap_s + (1.0 - (1.0 - NEWEST_WEIGHT) ** count) * (gap_s - self.gap_s)

    @property
    def per_s(self) -> float:
        """The rate that may be expected to last; 0 once arrivals have stopped."""
        if self._has_stopped:
            return 0.0
        if self.gap_s is not None and self.gap_s > FAST_S / 2:
            return max(self._average, 1.0 / self.gap_s)
        return self._average

    @property
    def _has_stopped(self) -> bool:
        if self.last_at is None:
            return True
        silence_s = self.at - self.last_at
        if self.gap_s is None:
            return silence_s > SLOW_S
        return silence_s > max(SILENT_GAPS * self.gap_s, FAST_S)

    @property
    def _near(self) -> float:
        """The slow average, as long as the fast one differs from it by no more than chance."""
        chance = CHANCE * math.sqrt(max(self.fast_per_s, self.slow_per_s) / (2.0 * FAST_S))
        return min(max(self.slow_per_s, self.fast_per_s - chance), self.fast_per_s + chance)

    @property
    def _average(self) -> float:
        near, slow = self._near, self.slow_per_s
        # Of a line, an average over t is the value t ago: the two are SLOW_S - FAST_S apart.
        change = (near - slow) * (1.0 + (FAST_S + AHEAD_S) / (SLOW_S - FAST_S))
        if change > 0.0:
            change *= self._lasting(self.rising_at)
        return max(0.0, slow + change) * self._lasting(self.begun_at)

    def _lasting(self, since: float | None) -> float:
        return 0.0 if since is None else min(1.0, (self.at - since) / LASTING_S)


def _decayed(per_s: float, count: int, elapsed_s: float, constant_s: float) -> float:
    keep = math.exp(-elapsed_s / constant_s)
    return per_s * keep + count / elapsed_s * (1.0 - keep)
