"""Whole sweeps over buckets of several sizes, each object with its record: the benchmark's own."""

from __future__ import annotations

import re
from collections.abc import Callable

from loadtest.bench import sweeps
from loadtest.bench.plan import Plan
from loadtest.bench.world import World
from loadtest.slopes.fit import Growth, Measure, Point

SETTLED = re.compile(r"settled, ([\d,]+) objects")
SWEEP = "settled sweep"


def sizes_up_to(largest: int) -> tuple[int, ...]:
    """`largest`, and a tenth and a hundredth of it; nothing below 100 objects, which is a tenth of
    a page."""
    return tuple(size for size in (largest // 100, largest // 10, largest) if size >= 100)


def measure_sweeps(world: World, largest: int, repeats: int, say: Callable[[str], None]) -> Measure:
    """Seconds by objects. Raises `BenchError`, `MareaError`, `OSError`."""
    points = []
    for figure in sweeps.run(world, Plan(repeats=repeats, sizes=sizes_up_to(largest)), say):
        found = SETTLED.fullmatch(figure.measure)
        if found:
            points.append(Point(float(found[1].replace(",", "")), figure.values))
    note = "every object has its record; pages of 1,000"
    return Measure(SWEEP, "s", "objects in the bucket", tuple(points), Growth.LINEAR, note)
