"""Latency, sample of jobs and machine: the page's pictures beside the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from loadtest.report import canvas, series, timeline, words
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
    YELLOW,
    Drawing,
    Look,
)
from loadtest.runs.data import Job, Run
from loadtest.runs.figures import percentile

STAGE_COLOURS = {
    series.UPLOAD_TO_RESULT: BLUE,
    series.UPLOAD_TO_ACCEPTED: GREEN,
    series.ACCEPTED_TO_STARTED: ORANGE,
}
WHOLE = series.UPLOAD_TO_RESULT
SHARES = (0.5, 0.95, 0.99)
SHORTEST_S = 0.001
"""Left end of a logarithmic axis: what two clocks tell as less is drawn there."""

GENERATOR = "generator"
ROLE_COLOURS = {
    "gateway": ORANGE,
    "broker": VERMILION,
    "store": YELLOW,
    "reconciler": GREEN,
    "autoscaler": PURPLE,
    "kubernetes": "#7a6a53",
    "other": "#c3c9d0",
    GENERATOR: GREY,
}
WORKER_COLOURS = (BLUE, SKY, "#004a75", "#9ad4f5")


def timeline_picture(run: Run, look: Look) -> Drawing:
    height = 7.6 if look.is_narrow else 8.0
    return canvas.drawn(look, height, lambda figure: timeline.draw_page(figure, run, look))


def latency_picture(run: Run, look: Look) -> Drawing:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        figure.subplots_adjust(
            left=0.13 if look.is_narrow else 0.055, right=0.985, top=0.9, bottom=0.13
        )
        draw_latency(axes, series.latencies(run), look)

    return canvas.drawn(look, 3.6, draw)


def draw_latency(axes: Axes, stages: Mapping[str, Sequence[float]], look: Look) -> None:
    """How many of the jobs had a stage behind them within which time."""
    known = {name: values for name, values in stages.items() if values}
    canvas.head(axes, "Share of jobs")
    if not known:
        canvas.say(axes, "not known: no job has both its times")
        axes.set_xticks([])
        return
    for name, values in known.items():
        # The whole lies beneath its longest part, and is wider, so that both are seen.
        step_up(axes, values, STAGE_COLOURS[name], width=3.0 if name == WHOLE else 1.7)
        for share in SHARES:
            at = max(SHORTEST_S, percentile(values, share) or 0.0)
            axes.plot([at], [share], "o", color=STAGE_COLOURS[name], markersize=4, zorder=4)
    log_seconds(axes, [value for values in known.values() for value in values], look)
    shares_axis(axes)
    entries = [(name, canvas.stroke(STAGE_COLOURS[name])) for name in known]
    canvas.head(axes, "" if look.is_narrow else "Share of jobs", entries)


def step_up(axes: Axes, values: Sequence[float], colour: str, width: float = 1.8) -> None:
    """The cumulative distribution, as the steps that it consists of."""
    points = series.cdf(values)
    at = [max(SHORTEST_S, value) for value, _ in points]
    axes.plot(
        [at[0], *at],
        [0.0, *(share for _, share in points)],
        color=colour,
        drawstyle="steps-post",
        linewidth=width,
    )


def log_seconds(axes: Axes, values: Sequence[float], look: Look) -> None:
    low = max(SHORTEST_S, min(values))
    high = max(low, *values)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.6, high * 1.6)
    wide_span = high / low > 300 or look.is_narrow
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide_span else (1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _round_seconds(at)))
    axes.set_xlabel("within this time; dots at 50, 95 and 99 of 100 jobs")


def _round_seconds(at: float) -> str:
    return f"{at * 1000:.3g} ms" if at < 0.9995 else f"{at:,.6g} s"


def shares_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, *SHARES], ["0", "50 %", "95 %", ""])


def gantt_picture(run: Run, look: Look) -> Drawing:
    jobs = series.job_sample(run)
    height = max(1.7, 0.85 + 0.075 * len(jobs))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        figure.subplots_adjust(left=0.02, right=0.985, top=1 - 0.42 / height, bottom=0.45 / height)
        draw_gantt(axes, run, jobs, look)

    return canvas.drawn(look, height, draw)


def draw_gantt(axes: Axes, run: Run, jobs: Sequence[Job], look: Look) -> None:
    """One row a job, the first above."""
    canvas.head(axes, "Jobs")
    grid = series.grid_of(run)
    canvas.time_axis(axes, grid, look, labelled=True)
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    if not jobs:
        canvas.say(axes, "no job was seen")
        return
    stages = (("not yet accepted", GREY), ("in the queue", ORANGE), ("running", BLUE))
    boxes: dict[str, list[list[tuple[float, float]]]] = {colour: [] for _, colour in stages}
    for row, job in enumerate(jobs):
        times = (job.uploaded_s, job.accepted_s, job.started_s, job.finished_s)
        for (_, colour), begin, end in zip(stages, times, times[1:], strict=False):
            if begin is not None and end is not None and end > begin:
                low, high = row - 0.36, row + 0.36
                boxes[colour].append([(begin, low), (end, low), (end, high), (begin, high)])
        over = _last_known(*times, job.recorded_s)
        if job.state != "done" and over is not None:
            axes.plot([over], [row], "D", color=VERMILION, markersize=3.4, zorder=4)
    for colour, corners in boxes.items():
        axes.add_collection(PolyCollection(corners, facecolor=colour, linewidth=0))
    axes.set_ylim(len(jobs) - 0.3, -0.7)
    entries = [(name, canvas.patch(colour)) for name, colour in stages]
    if any(job.state != "done" for job in jobs):
        legend = canvas.stroke("none")
        legend.set(marker="D", markerfacecolor=VERMILION, markeredgecolor="none", markersize=4)
        entries.append(("not done", legend))  # type: ignore[arg-type]
    whole = len(series.loaded_jobs(run))
    title = f"{len(jobs)} of {whole:,} jobs" if whole > len(jobs) else "Every job"
    canvas.head(axes, "" if look.is_narrow else title, entries)


def _last_known(*times: float | None) -> float | None:
    return max((at for at in times if at is not None), default=None)


def machines_picture(run: Run, look: Look) -> Drawing:
    cpu = series.by_role(run, lambda sample: sample.cpu)
    memory = series.by_role(run, lambda sample: sample.memory)
    roles = order_roles({*cpu, *memory})
    columns = 3 if look.is_narrow else 6
    room = 0.22 * -(-len(roles) // columns)
    height = 4.6 + room

    def draw(figure: Figure) -> None:
        rows = figure.add_gridspec(
            2,
            1,
            left=0.12 if look.is_narrow else 0.055,
            right=0.985,
            top=1 - 0.3 / height,
            bottom=(0.6 + room) / height,
            hspace=0.35,
        )
        above, below = figure.add_subplot(rows[0]), figure.add_subplot(rows[1])
        _draw_cpu(above, run, cpu)
        _draw_memory(below, memory)
        for axes in (above, below):
            canvas.time_axis(axes, series.grid_of(run), look, labelled=axes is below)
        colours = role_colours(roles)
        figure.legend(
            [canvas.patch(colours[role]) for role in roles],
            [words.short("the load itself" if r == GENERATOR else r, 22) for r in roles],
            loc="lower center",
            bbox_to_anchor=(0.5, 0.05 / height),
            ncols=columns,
            labelcolor=MUTED,
        )

    return canvas.drawn(look, height, draw)


def order_roles(roles: set[str]) -> list[str]:
    """Workers at the bottom, where an area is read best; the load itself on top, apart."""
    return sorted(roles, key=lambda r: (r == GENERATOR, r == "other", not _is_worker(r), r))


def role_colours(roles: Sequence[str]) -> dict[str, str]:
    workers = [role for role in roles if _is_worker(role)]
    return {
        role: WORKER_COLOURS[workers.index(role) % len(WORKER_COLOURS)]
        if _is_worker(role)
        else ROLE_COLOURS.get(role, ROLE_COLOURS["other"])
        for role in roles
    }


def _is_worker(role: str) -> bool:
    return role.startswith("worker")


def _draw_cpu(axes: Axes, run: Run, cpu: Mapping[str, series.Series]) -> None:
    canvas.head(axes, "CPU, cores used")
    if not cpu:
        canvas.say(axes, "not seen")
        return
    top = _stack(axes, cpu)
    cores = run.machine.get("cpu_count")
    if isinstance(cores, int | float) and cores > 0:
        axes.axhline(cores, color=INK, linewidth=1.3)
        name = "the machine has" if cores > 1 else "the machine's one core"
        name = f"{name} {words.number(cores)}" if cores > 1 else name
        canvas.head(axes, "CPU, cores used", [(name, canvas.stroke(INK, "-", 1.3))])
        top = max(top, cores)
    canvas.counts_axis(axes, top, whole=False)


def _draw_memory(axes: Axes, memory: Mapping[str, series.Series]) -> None:
    if not memory:
        canvas.head(axes, "Memory")
        canvas.say(axes, "not seen")
        return
    highest = max(s.highest or 0 for s in memory.values())
    unit, name = (2**30, "GiB") if highest > 2**30 else (2**20, "MiB")
    scaled = {
        role: series.Series(s.at, tuple(None if v is None else v / unit for v in s.values))
        for role, s in memory.items()
    }
    canvas.counts_axis(axes, _stack(axes, scaled), whole=False)
    canvas.head(axes, f"Memory, {name}")


def _stack(axes: Axes, parts: Mapping[str, series.Series]) -> float:
    """Areas upon one another; returns the highest sum. Unknown leaves the whole column open."""
    roles = order_roles(set(parts))
    colours = role_colours(roles)
    at = parts[roles[0]].at
    base = [0.0] * len(at)
    for role in roles:
        values = canvas.floats(parts[role].values)
        top = [low + value for low, value in zip(base, values, strict=True)]
        axes.fill_between(at, base, top, color=colours[role], linewidth=0, alpha=0.9)
        if role == GENERATOR:
            axes.plot(at, base, color=INK, linewidth=0.9)
        base = top
    return max((value for value in base if value == value), default=0.0)
