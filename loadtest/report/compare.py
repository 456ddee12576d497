"""Two runs side by side, e.g. one scaler against another: a page, and a picture. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.report import canvas, key_figures, pictures, series, timeline, words
from loadtest.report.canvas import BLUE, INK, MUTED, NARROW, ORANGE, WIDE, Drawing, Look
from loadtest.report.page import Figures, document, figure_block
from loadtest.report.page_tables import table
from loadtest.report.series import Grid
from loadtest.report.summary import SUMMARY, VERDICT_COLOURS, VERDICT_SIGNS, target_line
from loadtest.report.verdict import counts_line, verdict_of
from loadtest.runs.data import Run

Names = tuple[str, str]
Pair = tuple[Run, Run]
Panel = Callable[[Axes, Run, Grid], None]

PAIR_COLOURS = (BLUE, ORANGE)

MOST_TICKS = 4
"""More would stand too close in panels of this height."""
TAG_ROOM = 1.25
"""Of a panel's height, the fifth that holds the run's name and no data."""

READ_TIMELINES = (
    "Each quantity twice, one run above the other, on the same axes: the same height means the"
    " same number, the same place the same time since the first upload was due."
)
READ_LATENCIES = (
    "Share of the jobs that had a stage behind them within a time. The curve further left is"
    " the faster one; they cross where one run is better for most and worse for the slowest."
)


def compare_page(
    a: Run,
    b: Run,
    names: Names,
    figures: tuple[Figures, Figures],
    about: Mapping[str, str] | None = None,
) -> str:
    """`names` tell the two apart everywhere; `figures` are theirs, in the same order."""
    pair = (a, b)
    title = f"{names[0]} and {names[1]}, side by side"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _warning(differences(a, b)),
        _verdicts(pair, names),
        "<section><h2>Figures</h2>",
        _figures_table(names, figures, key_figures.meanings(about or {})),
        "</section><section><h2>On one time axis</h2>",
        _twice("timelines", pair, names, timelines_picture, READ_TIMELINES),
        "</section><section><h2>How long it took</h2>",
        _twice("latencies", pair, names, latencies_picture, READ_LATENCIES),
        "</section>",
    ]
    return document(title, "\n".join(parts))


def compare_png(a: Run, b: Run, names: Names) -> bytes:
    """Verdicts, timelines and latencies; without the figures, which need a page's room."""
    height = 13.0

    def draw(figure: Figure) -> None:
        for place, (run, name) in enumerate(zip((a, b), names, strict=True)):
            _headline(figure, run, name, place)
        top = 0.905
        if warnings := differences(a, b):
            text = words.short("Not alike: " + "; ".join(warnings), 120)
            figure.text(0.025, 0.915, text, color=VERDICT_COLOURS["FAILED"], va="top")
            top = 0.872
        _timelines(figure, (a, b), names, SUMMARY, top=top, bottom=0.245)
        _latencies(figure, (a, b), names, SUMMARY, top=0.18, bottom=0.06)

    return canvas.to_png(canvas.drawn(SUMMARY, height, draw))


def differences(a: Run, b: Run) -> list[str]:
    """Why the two may not be compared as they stand, in words. Empty if nothing speaks against."""
    found = []
    if a.scenario != b.scenario:
        found.append(f"other scenarios: {a.scenario} and {b.scenario}")
    shapes = [words.plain(run.shape.get("name")) for run in (a, b)]
    if shapes[0] != shapes[1]:
        found.append(f"other shapes: {shapes[0]} and {shapes[1]}")
    else:
        found += _unlike("the load's shape", a.shape, b.shape)
    machine = ("cpu_count", "cpu_model", "memory_bytes")
    found += _unlike(
        "the machine",
        {name: a.machine.get(name) for name in machine},
        {name: b.machine.get(name) for name in machine},
    )
    found += _unlike("what was measured before", a.calibration, b.calibration, within=0.1)
    if bool(a.partial) != bool(b.partial):
        found.append("only one of the two runs is whole")
    elif a.partial:
        found.append("neither run is whole")
    return found


def _unlike(
    what: str, a: Mapping[str, object], b: Mapping[str, object], within: float = 0.0
) -> list[str]:
    unlike = []
    for name in sorted({*a, *b}):
        one, other = a.get(name), b.get(name)
        if one == other or _are_near(one, other, within):
            continue
        unlike.append(f"{name} {words.setting(name, one)} and {words.setting(name, other)}")
    return [f"{what} differs: {', '.join(unlike)}"] if unlike else []


def _are_near(one: object, other: object, within: float) -> bool:
    if not (isinstance(one, int | float) and isinstance(other, int | float)):
        return False
    return abs(one - other) <= within * max(abs(one), abs(other))


def _warning(found: Sequence[str]) -> str:
    if not found:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in found)
    return (
        '<div class="warning"><strong>These runs are not alike; a difference below may come from'
        f" that:</strong><ul>{items}</ul></div>"
    )


def _verdicts(pair: Pair, names: Names) -> str:
    rows = []
    for run, name in zip(pair, names, strict=True):
        verdict = verdict_of(run)
        css = {"PASSED": "yes"}.get(verdict.word, "no")
        word = f'<span class="{css}">{VERDICT_SIGNS[verdict.word]} {verdict.word}</span>'
        facts = f"{run.scenario}, {words.moment(run.began_at)}, {target_line(run)}"
        rows.append(
            f'<tr><td class="text"><b>{escape(name)}</b><span class="what">{escape(facts)}</span>'
            f'</td><td class="fixed">{word}</td><td class="text">{escape(counts_line(run))}'
            f'<span class="what">{escape(verdict.sentence)}</span></td></tr>'
        )
    return table(("Run", "Verdict", "By the checker and the limits"), rows, is_cards=True)


def _figures_table(names: Names, figures: tuple[Figures, Figures], about: Mapping[str, str]) -> str:
    """Those that a person asks for first, and all others after a click."""
    all_names = dict.fromkeys([*figures[0], *figures[1]])
    rows = {
        name: _figure_row(name, figures[0].get(name), figures[1].get(name), about.get(name, ""))
        for name in all_names
    }
    columns = ("Figure", *names, "Ratio")
    first = [rows[name] for name in key_figures.LABELS if name in rows]
    rest = [row for name, row in rows.items() if name not in key_figures.LABELS]
    text = table(columns, first, is_numeric=True) if first else ""
    if rest:
        inner = table(columns, rest, is_numeric=True)
        text += f"<details><summary>{len(rest)} more figures</summary>{inner}</details>"
    return text


def _figure_row(name: str, one: float | None, other: float | None, what: str) -> str:
    about = f'<span class="what">{escape(what)}</span>' if what else ""
    return (
        f'<tr><td class="text"><code>{escape(name)}</code>{about}</td>'
        f'<td class="number">{escape(words.figure(name, one))}</td>'
        f'<td class="number">{escape(words.figure(name, other))}</td>'
        f'<td class="number">{escape(ratio(one, other))}</td></tr>'
    )


def ratio(one: float | None, other: float | None) -> str:
    """The second in terms of the first; a dash where that has no meaning."""
    if one is None or other is None:
        return "–"
    if one == other:
        return "same"
    if one <= 0 or other < 0:
        return "–"
    return f"× {other / one:.2f}"


def _twice(
    name: str,
    pair: Pair,
    names: Names,
    draw: Callable[[Pair, Names, Look], Drawing],
    how_to_read: str,
) -> str:
    wide = canvas.to_svg(draw(pair, names, WIDE), f"{name}-w")
    narrow = canvas.to_svg(draw(pair, names, NARROW), f"{name}-n")
    return figure_block(name, wide, narrow, how_to_read)


def timelines_picture(pair: Pair, names: Names, look: Look) -> Drawing:
    return canvas.drawn(
        look, 12.0, lambda figure: _timelines(figure, pair, names, look, top=0.97, bottom=0.045)
    )


def _timelines(
    figure: Figure, pair: Pair, names: Names, look: Look, *, top: float, bottom: float
) -> None:
    """Five quantities; of each, the first run's panel above the second's."""
    grid = series.grid_of(*pair)
    draws = _panels(look)
    outer = figure.add_gridspec(
        len(draws),
        1,
        left=0.12 if look.is_narrow else 0.065,
        right=0.975,
        top=top,
        bottom=bottom,
        hspace=0.33,
    )
    for row, draw in enumerate(draws):
        inner = outer[row].subgridspec(2, 1, hspace=0.14)
        both = [figure.add_subplot(inner[0]), figure.add_subplot(inner[1])]
        for place, axes in enumerate(both):
            draw(axes, pair[place], grid)
            is_last = row == len(draws) - 1 and place == 1
            canvas.time_axis(axes, grid, look, labelled=is_last)
            timeline.draw_ends(axes, pair[place])
            _name_panel(axes, names[place], place)
        _same_height(both)
        both[1].set_title("", loc="left")
        if (legend := both[1].get_legend()) is not None and both[0].get_legend() is not None:
            legend.remove()


def _panels(look: Look) -> tuple[Panel, ...]:
    def replicas(axes: Axes, run: Run, grid: Grid) -> None:
        timeline.replicas(axes, run, grid, look, with_marks=False)

    return (timeline.arrivals, timeline.backlog, replicas, timeline.slots, timeline.done)


def _name_panel(axes: Axes, name: str, place: int) -> None:
    axes.text(
        0.006,
        0.92,
        words.short(name, 24),
        transform=axes.transAxes,
        ha="left",
        va="top",
        color="white",
        fontweight="bold",
        fontsize="small",
        bbox={
            "boxstyle": "round,pad=0.25",
            "facecolor": ("#005a8d", "#8a5f00")[place],
            "linewidth": 0,
        },
    )


def _same_height(both: Sequence[Axes]) -> None:
    """The taller one's axis for both; a panel without data keeps its sentence."""
    taller = max(both, key=lambda axes: axes.get_ylim()[1] if len(axes.get_yticks()) else 0.0)
    if not len(taller.get_yticks()):
        return
    ticks, top = taller.get_yticks(), taller.get_ylim()[1] * TAG_ROOM
    if len(ticks) > MOST_TICKS:
        ticks = ticks[::2]
    for axes in both:
        if len(axes.get_yticks()):
            axes.set_yticks(ticks)
            axes.set_ylim(0, top)


def latencies_picture(pair: Pair, names: Names, look: Look) -> Drawing:
    height = 7.2 if look.is_narrow else 3.2
    return canvas.drawn(
        look,
        height,
        lambda figure: _latencies(
            figure,
            pair,
            names,
            look,
            top=0.96 if look.is_narrow else 0.89,
            bottom=0.1 if look.is_narrow else 0.21,
        ),
    )


def _latencies(
    figure: Figure, pair: Pair, names: Names, look: Look, *, top: float, bottom: float
) -> None:
    """One plot a stage, both runs in each."""
    stages = [series.latencies(run) for run in pair]
    rows, columns = (3, 1) if look.is_narrow else (1, 3)
    cells = figure.add_gridspec(
        rows,
        columns,
        left=0.13 if look.is_narrow else 0.065,
        right=0.975,
        top=top,
        bottom=bottom,
        wspace=0.16,
        hspace=0.5,
    )
    for place, stage in enumerate(stages[0]):
        axes = figure.add_subplot(cells[place])
        known = [values for values in (stages[0][stage], stages[1][stage]) if values]
        canvas.head(axes, stage[0].upper() + stage[1:])
        if not known:
            canvas.say(axes, "not known in either run")
            axes.set_xticks([])
            continue
        for which, run_stages in enumerate(stages):
            if run_stages[stage]:
                pictures.step_up(axes, run_stages[stage], PAIR_COLOURS[which])
        pictures.log_seconds(axes, [v for values in known for v in values], NARROW)
        axes.set_xlabel("")
        pictures.shares_axis(axes)
    figure.legend(
        [canvas.stroke(colour) for colour in PAIR_COLOURS],
        [words.short(name, 30) for name in names],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.02),
        ncols=2,
        labelcolor=MUTED,
    )


def _headline(figure: Figure, run: Run, name: str, place: int) -> None:
    verdict = verdict_of(run)
    left = 0.025 + place * 0.49
    figure.text(left, 0.985, words.short(name, 30), size=14, weight="bold", va="top", color=INK)
    word = f"{VERDICT_SIGNS[verdict.word]} {verdict.word}"
    colour = VERDICT_COLOURS[verdict.word]
    figure.text(left, 0.962, word, size=11, weight="bold", va="top", color=colour)
    facts = f"{run.scenario} · {counts_line(run)}"
    figure.text(left, 0.942, words.short(facts, 62), va="top", color=MUTED)
