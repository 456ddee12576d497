"""Whole sweeps over buckets of several sizes: all objects have records, or all are queued jobs."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.bench.sweeps import SweptBucket, tell
from loadtest.bench.world import World
from loadtest.slopes.fit import Growth, Measure, Point

SETTLED, QUEUED = "settled sweep", "sweep of queued jobs"

NOTES = {
    SETTLED: "every object has its record; pages of 1,000",
    QUEUED: "no object has a record, and each waits in the ledger; pages of 1,000",
}
SIZES = {SETTLED: "objects in the bucket", QUEUED: "queued jobs"}


def sizes_up_to(largest: int) -> tuple[int, ...]:
    """`largest`, and a tenth, a hundredth and a thousandth of it; nothing below 100 objects, which
    is a tenth of a page."""
    return tuple(size for size in (largest // 10**n for n in (3, 2, 1, 0)) if size >= 100)


def measure_sweeps(
    world: World, largest: int, repeats: int, say: Callable[[str], None]
) -> list[Measure]:
    """Seconds by objects, of both kinds. Raises `BenchError`, `MareaError`, `OSError`."""
    bucket = SweptBucket(world, largest)
    points: dict[str, list[Point]] = {SETTLED: [], QUEUED: []}
    for size in sizes_up_to(largest):
        bucket.fill(size, say)
        settled = [bucket.sweep_settled() for _ in range(repeats)]
        bucket.sweep_missing()  # which queues them
        queued = [bucket.sweep_queued() for _ in range(repeats)]
        for name, swept in ((SETTLED, settled), (QUEUED, queued)):
            tell(f"{name}, {size:,} objects", size, swept[0], say)
            points[name].append(Point(float(size), tuple(each.seconds for each in swept)))
    return [
        Measure(name, "s", SIZES[name], tuple(each), Growth.LINEAR, NOTES[name])
        for name, each in points.items()
    ]
