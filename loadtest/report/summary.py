"""`report.png`: verdict, key figures, timeline and latency in one picture to be shown around."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.figure import Figure

from loadtest.report import canvas, key_figures, pictures, series, timeline, words
from loadtest.report.canvas import INK, MUTED, Look
from loadtest.report.verdict import counts_line, verdict_of
from loadtest.runs.data import Run

SUMMARY = Look(8.0, size_pt=8.5)
"""At 200 dots an inch: 1,600 wide, and text that can be read at half of that."""
HEIGHT_IN = 10.4
VERDICT_COLOURS = {"PASSED": "#00795a", "FAILED": "#b44a00", "PARTIAL": "#8a6100"}
"""Darker than the lines' green, vermilion and orange: white on them has a contrast over 4.5."""
VERDICT_SIGNS = {"PASSED": "✓", "FAILED": "✗", "PARTIAL": "◐"}
TILES = 4


def summary_png(run: Run, figures: Mapping[str, float | None]) -> bytes:
    return canvas.to_png(canvas.drawn(SUMMARY, HEIGHT_IN, lambda f: _draw(f, run, figures)))


def _draw(figure: Figure, run: Run, figures: Mapping[str, float | None]) -> None:
    _banner(figure, run)
    _tiles(figure, figures)
    rows = figure.add_gridspec(
        timeline.PANELS,
        1,
        left=0.065,
        right=0.975,
        top=0.725,
        bottom=0.275,
        hspace=0.5,
        height_ratios=timeline.HEIGHTS,
    )
    panels = [figure.add_subplot(rows[number]) for number in range(timeline.PANELS)]
    timeline.draw_timeline(panels, run, series.grid_of(run), SUMMARY)
    latency = figure.add_axes((0.065, 0.065, 0.91, 0.135))
    pictures.draw_latency(latency, series.latencies(run), SUMMARY)


def _banner(figure: Figure, run: Run) -> None:
    verdict = verdict_of(run)
    colour = VERDICT_COLOURS[verdict.word]
    figure.text(0.025, 0.98, f"Load run: {words.short(run.scenario, 40)}", size=15, weight="bold",
                va="top")  # fmt: skip
    when = f"{words.moment(run.began_at)}  ·  {words.short(target_line(run), 70)}"
    figure.text(0.025, 0.955, when, va="top", color=MUTED)
    band = figure.add_axes((0.025, 0.853, 0.95, 0.075), facecolor=colour)
    band.set(xticks=[], yticks=[])
    band.spines[:].set_visible(False)
    word = f"{VERDICT_SIGNS[verdict.word]} {verdict.word}"
    band.text(0.02, 0.5, word, size=20, weight="bold", color="white", va="center")
    said = textwrap.wrap(words.short(verdict.sentence, 240), 84, max_lines=3, placeholder=" …")
    text = "\n".join([counts_line(run), *said])
    band.text(0.30, 0.5, text, color="white", va="center", size=7.8, linespacing=1.3)


def _tiles(figure: Figure, figures: Mapping[str, float | None]) -> None:
    """Large numbers with what they mean below; only such as are known, if enough are."""
    shown = key_figures.chosen(figures, TILES * 2)
    for place, (name, label) in enumerate(shown):
        column, row = place % TILES, place // TILES
        left, top = 0.025 + column * 0.24, 0.838 - row * 0.042
        value = words.figure(name, figures.get(name))
        colour = INK if figures.get(name) is not None else MUTED
        figure.text(left, top, value, size=12, weight="bold", va="top", color=colour)
        figure.text(left, top - 0.0195, words.short(label, 34), size=7.2, va="top", color=MUTED)


def target_line(run: Run) -> str:
    """Against what, in a few words."""
    kind = {"up": "marea up"}.get(str(run.target.get("kind")), run.target.get("kind"))
    parts = [kind, *(run.target.get(name) for name in ("store", "broker"))]
    return ", ".join(words.plain(part) for part in parts if part) or "target not known"
