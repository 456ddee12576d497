"""How a figure grows with a size: the exponent of a power law, and what it is called. Pure.

On axes of logarithms y = a·xᵇ is a straight line of slope b: 0 is flat, 1 is linear, 2 is
quadratic. The line is fitted to the medians of the repeats by least squares.

A fit alone can be fooled: what is flat over three decades and quadratic in the last one has a
mean slope below 1. So the last step, from the second largest size to the largest, is judged
too, with more allowance, for it is a line through two points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import fmean, median

FLAT = 0.15
"""A slope below it is called flat, in either direction: a factor of 1.4 in ten. Arbitrary; what
the project set itself."""
LINEAR = 1.15
"""The same above 1."""
TAIL_ALLOWANCE = 0.35
"""What the last step may be steeper than a fit: 1.15 + 0.35 lies half-way between linear and
quadratic."""


class Growth(IntEnum):
    """In the order of how bad it is."""

    FALLING = 0
    FLAT = 1
    LINEAR = 2
    """At most linear: between flat and linear counts here as well."""
    WORSE = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Point:
    """The values of one size, one per repeat."""

    at: float
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure over the sizes, smallest first."""

    name: str
    unit: str
    of: str
    """What the sizes count: `queued jobs`, …"""
    points: tuple[Point, ...]
    allowed: Growth = Growth.LINEAR
    """The worst that it may be. A figure *per job* must be flat, or the sum is not linear."""
    note: str = ""

    @property
    def fit(self) -> Fit:
        """Raises ValueError with a sentence if no line can be fitted."""
        return fit(self.points)

    @property
    def growth(self) -> Growth:
        """Raises ValueError, as `fit`."""
        return growth(self.fit)

    @property
    def passes(self) -> bool:
        """Raises ValueError, as `fit`."""
        return self.growth <= self.allowed


@dataclass(frozen=True, slots=True)
class Fit:
    """A line through the medians, on axes of logarithms."""

    slope: float
    factor: float
    """y at x = 1."""
    last_step: float
    """Slope from the last point but one to the last."""
    low: float
    """The smallest slope of a repeat by itself; of all of them together where they differ in
    number."""
    high: float

    def at(self, x: float) -> float:
        """Where the line is at `x`."""
        return float(self.factor * x**self.slope)


def fit(points: Sequence[Point]) -> Fit:
    """Raises ValueError with a sentence: fewer than two sizes, one of them twice, or values that
    have no logarithm."""
    if len(points) < 2 or len({point.at for point in points}) < len(points):
        raise ValueError(
            "a slope needs two sizes or more, each once; there are"
            f" {[point.at for point in points]}"
        )
    for point in points:
        if point.at <= 0 or not point.values or min(point.values) <= 0:
            raise ValueError(
                f"no slope: at size {point.at:g} the values are {list(point.values)}, and only"
                " values above 0 have a logarithm"
            )
    ordered = sorted(points, key=lambda point: point.at)
    sizes = [point.at for point in ordered]
    slope, log_factor = _least_squares(sizes, [point.median for point in ordered])
    before, last = ordered[-2:]
    slopes = [slope]
    if len({len(point.values) for point in ordered}) == 1:
        repeats = zip(*(point.values for point in ordered), strict=True)
        slopes = [_least_squares(sizes, values)[0] for values in repeats]
    return Fit(
        slope=slope,
        factor=math.exp(log_factor),
        last_step=math.log(last.median / before.median) / math.log(last.at / before.at),
        low=min(slopes),
        high=max(slopes),
    )


def two_decimals(slope: float) -> str:
    """Without a minus before a zero."""
    return f"{round(slope, 2) + 0.0:.2f}"


def growth(line: Fit) -> Growth:
    """What a line is called: the worse of what its slope says and what its last step says."""
    return max(_called(line.slope, 0.0), _called(line.last_step, TAIL_ALLOWANCE))


def _called(slope: float, allowance: float) -> Growth:
    if slope <= -FLAT:
        return Growth.FALLING
    if slope < FLAT + allowance:
        return Growth.FLAT
    return Growth.LINEAR if slope <= LINEAR + allowance else Growth.WORSE


def _least_squares(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of the logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    middle_x, middle_y = fmean(xs), fmean(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope, middle_y - slope * middle_x
