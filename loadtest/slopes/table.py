"""A run of the slopes as tables: for the terminal, and for a page of the docs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from loadtest.bench.pages import Place
from loadtest.bench.table import number
from loadtest.slopes.fit import Measure, two_decimals
from loadtest.slopes.results import Acceptance, Run

PLACE = Place("<!-- slopes: begin -->", "<!-- slopes: end -->")


def slopes_table(measures: Sequence[Measure]) -> Table:
    """For the terminal. Raises ValueError if a measure has no slope."""
    table = Table("measure", "size", "median", "spread", "slope", "last step", "verdict")
    for each in measures:
        line = each.fit
        slope = f"{two_decimals(line.slope)} ({two_decimals(line.low)} – {two_decimals(line.high)})"
        verdict = f"[{'green' if each.passes else 'red'}]{each.growth}[/]"
        for point in each.points:
            is_first = point is each.points[0]
            table.add_row(
                each.name if is_first else "",
                f"{point.at:,.0f} {each.of}" if is_first else f"{point.at:,.0f}",
                f"{number(point.median)} {each.unit}",
                f"{number(min(point.values))} – {number(max(point.values))}",
                *((slope, two_decimals(line.last_step), verdict) if is_first else ("", "", "")),
            )
        table.add_section()
    return table


def sentences(run: Run) -> list[str]:
    """What has no slope."""
    told = []
    if run.acceptance:
        told.append(_memory(run.acceptance))
    if run.ended_bytes is not None:
        told.append(f"Of a job that has ended the ledger keeps {number(run.ended_bytes)} bytes.")
    return told


def _memory(queue: Acceptance) -> str:
    used, bound = (queue.used_bytes - queue.key_bytes) / 1e6, queue.bound_bytes / 1e6
    told = f"Broker and ledger with {queue.queued:,} queued jobs: {used:,.1f} MB beyond their keys"
    if not queue.is_judged:
        return f"{told}; judged at 100,000 jobs."
    return f"{told}, {'within' if queue.is_reached else 'MORE THAN'} {bound:,.0f} MB."


def write_markdown(page: Path, run: Run) -> None:
    """Put the run into `page`, between the marks that stand there. Raises ValueError, OSError."""
    PLACE.fill(page, _markdown(run))


def _markdown(run: Run) -> Iterator[str]:
    made = run.machine
    yield (
        f"{made['at']}, commit {made['commit']}, {made['cores']} cores ({made['cpu']})."
        " Medians, with the smallest and the largest of the repeats."
    )
    yield ""
    rungs = max(len(each.points) for each in run.measures)
    # A measure may have sizes of its own, so each cell tells its size.
    steps = [f"size {number + 1}" for number in range(rungs)]
    yield f"| measure | {' | '.join(steps)} | slope | last step | verdict |"
    yield f"|---|{'---:|' * rungs}---:|---:|---|"
    for each in run.measures:
        line = each.fit
        cells = [
            f"{point.at:,.0f}: **{number(point.median)}**"
            f" ({number(min(point.values))} – {number(max(point.values))})"
            for point in each.points
        ]
        cells += [""] * (rungs - len(cells))
        verdict = str(each.growth) if each.passes else f"**{each.growth}**"
        yield (
            f"| {each.name}, {each.unit}, by {each.of} | {' | '.join(cells)}"
            f" | {two_decimals(line.slope)} | {two_decimals(line.last_step)} | {verdict} |"
        )
    for told in sentences(run):
        yield ""
        yield told
