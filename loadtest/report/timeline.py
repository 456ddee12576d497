"""The timeline: what came, what waited, who worked and what got done, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.report import canvas, series, words
from loadtest.report.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Look,
)
from loadtest.report.series import Grid, Mark
from loadtest.runs.data import Run, Sample

POOL_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
MOST_MARKS = 12
FAR_ABOVE = 4.0
"""Arbitrary: a steady rate further above all that was reached would flatten the panel."""
PANELS = 5
HEIGHTS = (1.25, 1.15, 1.25, 1, 1)


def draw_timeline(axes: Sequence[Axes], run: Run, grid: Grid, look: Look) -> None:
    """Five panels from above: arrivals, backlog, replicas, slots, done."""
    # The room above the arrivals is for the words beside the two lines.
    arrivals(axes[0], run, grid, room=1.9)
    backlog(axes[1], run, grid)
    replicas(axes[2], run, grid, look)
    slots(axes[3], run, grid)
    done(axes[4], run, grid)
    for panel in axes:
        canvas.time_axis(panel, grid, look, labelled=panel is axes[-1])
        draw_ends(panel, run)
    _name_the_ends(axes[0], run, grid)


def arrivals(axes: Axes, run: Run, grid: Grid, *, room: float = 1.12) -> None:
    sent, due = series.sent(run, grid), series.scheduled(run, grid)
    if not sent.is_known:
        canvas.head(axes, "Uploads per second")
        canvas.say(axes, "no upload was sent")
        return
    canvas.area(axes, sent, BLUE, step=True)
    canvas.line(axes, due, INK, style=":", width=1.3, step=True)
    canvas.counts_axis(axes, max(sent.highest or 0, due.highest or 0), room=room, whole=False)
    entries: list[tuple[str, Artist]] = [
        ("sent", canvas.patch(BLUE, 0.45)),
        ("as scheduled", canvas.stroke(INK, ":", 1.3)),
    ]
    canvas.head(axes, "Uploads per second", entries)


def backlog(axes: Axes, run: Run, grid: Grid) -> None:
    found = series.waiting(run, grid)
    broker = series.thin(series.total(run, _ready, _unacked))
    if not found.series.is_known and not broker.is_known:
        canvas.head(axes, "Backlog, jobs")
        canvas.say(axes, "not seen: neither records nor the broker's counts")
        return
    entries: list[tuple[str, Artist]] = []
    if found.series.is_known:
        canvas.area(axes, found.series, ORANGE, step=True)
        entries.append((waiting_name(found), canvas.patch(ORANGE, 0.45)))
    if broker.is_known:
        canvas.line(axes, broker, VERMILION, width=1.2)
        entries.append(("in the broker", canvas.stroke(VERMILION)))
    highest = max(found.series.highest or 0, broker.highest or 0)
    canvas.counts_axis(axes, highest, whole=True)
    canvas.head(axes, "Backlog, jobs", entries)


def waiting_name(found: series.Occupancy) -> str:
    """Of a job whose times are not known, the records tell too little."""
    return "waiting, at least" if found.left_out else "waiting, by records"


def replicas(axes: Axes, run: Run, grid: Grid, look: Look, *, with_marks: bool = True) -> None:
    pools = scaled_pools(run)
    marked: list[Mark] = []
    if with_marks:
        most, apart = (5, 0.06) if look.is_narrow else (MOST_MARKS, 0.024)
        marked = series.shown_marks(series.marks(run), grid, most, apart)
    if not pools:
        canvas.head(axes, "Replicas")
        canvas.say(axes, "not seen")
    else:
        _replica_lines(axes, run, pools, room=1.5 if marked else 1.12)
    _number(axes, marked)


def scaled_pools(run: Run) -> list[str]:
    """Pools whose scale was seen; those without a replica, wanted or ready, all the time only if
    there are no others."""
    known: list[str] = []
    with_some: list[str] = []
    for pool in series.pools(run):
        ready = series.sampled(run, lambda sample: sample.replicas, pool)
        wanted = series.sampled(run, lambda sample: sample.wanted, pool)
        known += [pool] if ready.is_known or wanted.is_known else []
        with_some += [pool] if ready.highest or wanted.highest else []
    return with_some or known


def _replica_lines(axes: Axes, run: Run, pools: Sequence[str], room: float) -> None:
    """One pool: ready as an area, wanted upon it. Several: a colour each, as many as can be
    told apart."""
    is_alone = len(pools) == 1
    highest = 0.0
    entries: list[tuple[str, Artist]] = []
    # Pools at the same height lie upon one another: each is thinner than the one below it.
    for pool, colour, width in zip(pools, POOL_COLOURS, (3.6, 2.4, 1.6, 0.9), strict=False):
        ready = series.sampled(run, lambda sample: sample.replicas, pool)
        wanted = series.sampled(run, lambda sample: sample.wanted, pool)
        if is_alone:
            canvas.area(axes, ready, colour, step=True, alpha=0.18)
        else:
            canvas.line(axes, ready, colour, width=width, step=True)
        canvas.line(axes, wanted, INK if is_alone else colour, style=":", step=True)
        highest = max(highest, ready.highest or 0, wanted.highest or 0)
        entries.append(("ready" if is_alone else words.short(pool, 14), canvas.stroke(colour)))
    if len(pools) > len(POOL_COLOURS):
        entries.append((f"{len(pools) - len(POOL_COLOURS)} not drawn", canvas.stroke("none")))
    entries.append(("wanted", canvas.stroke(INK if is_alone else MUTED, ":", 1.5)))
    canvas.counts_axis(axes, highest, room=room, whole=True)
    canvas.head(axes, "Replicas", entries)


def slots(axes: Axes, run: Run, grid: Grid) -> None:
    found = series.busy(run, grid)
    there = series.total(run, lambda sample: sample.slots)
    if not found.series.is_known and not there.is_known:
        canvas.head(axes, "Slots")
        canvas.say(axes, "not seen")
        return
    entries: list[tuple[str, Artist]] = []
    if found.series.is_known:
        canvas.area(axes, found.series, SKY, step=True, alpha=0.5)
        is_least = found.left_out > 0 or series.complete_until(run) is not None
        name = "busy, at least" if is_least else "busy, by records"
        entries.append((name, canvas.patch(SKY, 0.7)))
    if there.is_known:
        canvas.line(axes, there, INK, style=":", step=True)
        entries.append(("ready", canvas.stroke(INK, ":", 1.5)))
    canvas.counts_axis(axes, max(found.series.highest or 0, there.highest or 0), whole=True)
    canvas.head(axes, "Slots (jobs at once)", entries)


def done(axes: Axes, run: Run, grid: Grid) -> None:
    ended = series.finished(run, grid)
    canvas.head(axes, "Jobs finished per second")
    if not ended.is_known:
        canvas.say(axes, "not seen: no record was found")
        return
    canvas.area(axes, ended, GREEN, step=True)
    entries: list[tuple[str, Artist]] = []
    steady = run.calibration.get("steady_jobs_per_s")
    if steady and steady <= FAR_ABOVE * (ended.highest or 0):
        axes.axhline(steady, color=INK, linewidth=1.2, linestyle=":")
        entries = [("steady rate, measured before", canvas.stroke(INK, ":", 1.3))]
    canvas.counts_axis(axes, max(ended.highest or 0, steady or 0), whole=False)
    canvas.head(axes, "Jobs finished /s" if entries else "Jobs finished per second", entries)


def _number(axes: Axes, marked: Sequence[Mark]) -> None:
    """Numbered discs in the room above the lines, each with a thin line to its time."""
    for mark in marked:
        at = mark.decision.at_s
        axes.axvline(at, ymax=0.8, color=GREY, linewidth=0.6)
        axes.text(
            at,
            0.88,
            str(mark.number),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="center",
            fontsize="small",
            color="white",
            fontweight="bold",
            bbox={
                # A circle around three digits would cover its neighbours.
                "boxstyle": "circle,pad=0.22" if mark.number < 100 else "round,pad=0.3",
                "facecolor": "#4a5560",
                "linewidth": 0,
            },
        )


def draw_ends(axes: Axes, run: Run) -> None:
    """Where the load ended, and where the last result was there."""
    axes.axvline(run.load_ended_s, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    if run.settled_s is not None:
        axes.axvline(run.settled_s, color=GREEN, linewidth=1.1, linestyle=(0, (4, 3)))


def _name_the_ends(axes: Axes, run: Run, grid: Grid) -> None:
    """In words beside the lines; on the side with room, one below the other."""
    names = [(run.load_ended_s, "end of the load", MUTED)]
    if run.settled_s is not None:
        names.append((run.settled_s, "all have results", GREEN))
    for row, (at, name, colour) in enumerate(names):
        is_right = (at - grid.begin) / (grid.end - grid.begin) > 0.6
        axes.annotate(
            f"{name}, {words.clock(at)}",
            (at, 0.9 - 0.22 * row),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-4 if is_right else 4, 0),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="center",
            color=colour,
            bbox={"boxstyle": "square,pad=0.15", "facecolor": canvas.PAPER, "linewidth": 0},
        )


def draw_page(figure: Figure, run: Run, look: Look) -> None:
    """The timeline alone, for the page."""
    grid = series.grid_of(run)
    rows = figure.add_gridspec(
        PANELS,
        1,
        left=0.12 if look.is_narrow else 0.055,
        right=0.985,
        top=0.965,
        bottom=0.065,
        hspace=0.42,
        height_ratios=HEIGHTS,
    )
    draw_timeline([figure.add_subplot(rows[number]) for number in range(PANELS)], run, grid, look)


def _ready(sample: Sample) -> dict[str, float]:
    return dict(sample.ready)


def _unacked(sample: Sample) -> dict[str, float]:
    return dict(sample.unacked)
