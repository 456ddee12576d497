"""The slopes as a picture: a panel per measure, all with the same scale of decades.

So a slope looks alike in every panel: the dashed lines, through the line's value at the smallest
size, say what flat and what linear would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.slopes.fit import Fit, Growth, Measure, two_decimals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
PANEL_IN = (3.5, 2.9)
POINTS, LINE, WORSE, GREY, INK = "#0072B2", "#56B4E9", "#D55E00", "#8A8A8A", "#222222"
"""Of Okabe and Ito's palette, which reads with any colour vision; verdicts are written, too."""
STYLE: Any = {
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "marea",
}
FORMATS = (".png", ".svg")


def draw(measures: Sequence[Measure], path: Path, caption: str) -> list[Path]:
    """Writes the picture as PNG and as SVG beside it, whichever of both `path` names.

    Raises ValueError if a measure has no slope, OSError.
    """
    import matplotlib as mpl  # half a second, for nothing where no picture is wanted
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = math.ceil(len(measures) / COLUMNS)
    with mpl.rc_context(STYLE):
        size = (PANEL_IN[0] * COLUMNS, PANEL_IN[1] * rows + 0.5)
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, hspace=0.04)
        figure = Figure(figsize=size, layout=layout)
        FigureCanvasAgg(figure)
        panels = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        for panel, measure in zip(panels, measures, strict=False):
            _draw_panel(panel, measure)
        for panel in panels[len(measures) :]:
            panel.set_axis_off()
        figure.supxlabel(caption, fontsize=7.5, color=GREY, x=0.01, ha="left")
        written = [path.with_suffix(suffix) for suffix in FORMATS]
        for each in written:
            # Without a date a picture of the same figures is the same file.
            meta: dict[str, Any] = {"Date": None} if each.suffix == ".svg" else {}
            figure.savefig(each, dpi=110, facecolor="white", metadata=meta)
    return written


def _draw_panel(panel: Axes, measure: Measure) -> None:
    line = measure.fit
    sizes = [point.at for point in measure.points]
    first, last = min(sizes), max(sizes)
    panel.set_xscale("log")
    panel.set_yscale("log")
    colour = LINE if measure.passes else WORSE
    _draw_references(panel, line, first, last)
    panel.plot((first, last), (line.at(first), line.at(last)), color=colour, lw=2.2, zorder=2)
    medians = [point.median for point in measure.points]
    below = [point.median - min(point.values) for point in measure.points]
    above = [max(point.values) - point.median for point in measure.points]
    panel.errorbar(
        sizes, medians, (below, above), fmt="o", ms=4.5, color=POINTS, lw=1.2, capsize=3, zorder=3
    )
    _label_ends(panel, measure)
    panel.set_title(measure.name, fontsize=10, color=INK, loc="left", pad=17, weight="bold")
    panel.text(0, 1.03, _verdict(measure, line), transform=panel.transAxes, color=INK, fontsize=8.5)
    panel.set_xlabel(measure.of)
    panel.set_ylabel(measure.unit)
    panel.tick_params(which="minor", length=0, labelleft=False)
    panel.tick_params(which="major", length=3)


def _verdict(measure: Measure, line: Fit) -> str:
    growth = str(measure.growth)
    if not measure.passes and measure.growth is not Growth.WORSE:
        growth += f", must be {measure.allowed}"
    slope, low, high = (two_decimals(each) for each in (line.slope, line.low, line.high))
    return f"slope {slope} ({low} to {high}): {growth}"


def _draw_references(panel: Axes, line: Fit, first: float, last: float) -> None:
    """And the limits of the axes, so that a decade is as high in all panels."""
    start, decades = line.at(first), last / first
    for slope, name in ((0.0, "flat"), (1.0, "linear")):
        end = start * decades**slope
        panel.plot((first, last), (start, end), color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=1)
        panel.annotate(
            name,
            (last, end),
            xytext=(9, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=7.5,
            va="center",
            annotation_clip=False,
        )
    panel.set_xlim(10 ** math.floor(math.log10(first)) / 1.6, last * 2)
    panel.set_ylim(start / 8, start * decades * 3)


def _label_ends(panel: Axes, measure: Measure) -> None:
    """The medians of the smallest and the largest size, in figures."""
    ordered = sorted(measure.points, key=lambda point: point.at)
    for point in (ordered[0], ordered[-1]):
        panel.annotate(
            _figures(point.median),
            (point.at, min(point.values)),
            xytext=(0, -6),
            textcoords="offset points",
            color=INK,
            fontsize=8,
            ha="center",
            va="top",
        )


def _figures(value: float) -> str:
    """Three figures, never as a power of ten."""
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"
