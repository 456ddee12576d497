"""Measured figures, their spread, and how they stand to what they are compared with.

A ratio is taken per repeat, of two contenders measured one right after the other, and its
median is the verdict: these machines are noisy, and noise that hits a pair cancels out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One contender's values of one measure, a value per repeat, in the order of the repeats."""

    section: str
    """The module that measured it: `images`, `events`, …"""
    measure: str
    """What was measured, e.g. `grayscale`."""
    contender: str
    """`marea`, or what ran beside it."""
    unit: str
    values: tuple[float, ...]
    note: str = ""
    """A sentence that the reader of the table needs, or nothing."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest."""
        return min(self.values), max(self.values)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached: `measure` of `contender`, as a ratio to `against`, or, without
    that, in its own unit."""

    section: str
    measure: str
    bound: float
    is_floor: bool = True
    """True: at least `bound`; False: at most."""
    against: str = ""
    contender: str = "marea"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a target stands."""

    target: Target
    value: float
    low: float
    high: float

    @property
    def is_reached(self) -> bool:
        return (
            self.value >= self.target.bound
            if self.target.is_floor
            else (self.value <= self.target.bound)
        )


@dataclass(slots=True)
class Results:
    """All figures of a run."""

    figures: list[Figure] = field(default_factory=list)

    def find(self, section: str, measure: str, contender: str) -> Figure | None:
        for figure in self.figures:
            if (figure.section, figure.measure, figure.contender) == (section, measure, contender):
                return figure
        return None

    def judge(self, target: Target) -> Verdict | None:
        """None if what it needs was not measured in this run."""
        ours = self.find(target.section, target.measure, target.contender)
        if ours is None:
            return None
        values = list(ours.values)
        if target.against:
            other = self.find(target.section, target.measure, target.against)
            if other is None:
                return None
            values = paired_ratios(ours.values, other.values)
        return Verdict(target, median(values), min(values), max(values))


def paired_ratios(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    """Repeat by repeat; of single values with many, each with the one."""
    if len(ours) != len(others):
        return [median(ours) / median(others)]
    return [mine / other for mine, other in zip(ours, others, strict=True)]


def percentile(values: Sequence[float], percent: int) -> float:
    """Of at least two values, 1 to 99; between two of them by their distance."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def write_json_lines(path: Path, machine: dict[str, Any], figures: Iterable[Figure]) -> None:
    """The machine in the first line, then a figure a line."""
    lines = [json.dumps({"machine": machine})]
    lines += [json.dumps(asdict(figure)) for figure in figures]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_json_lines(path: Path) -> tuple[dict[str, Any], Results]:
    """The inverse. Raises ValueError, OSError."""
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    figures = []
    for line in rest:
        body = json.loads(line)
        figures.append(Figure(**{**body, "values": tuple(body["values"])}))
    return json.loads(first)["machine"], Results(figures)
