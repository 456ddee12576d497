"""What all pictures share: colours, type, the time axis, panels with their heads, and files.

Colours are Okabe and Ito's, told apart by colour-blind eyes too (jfly.uni-koeln.de/color).
Figures are made without pyplot, which keeps state between them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from matplotlib.transforms import ScaledTranslation, Transform

from loadtest.report import words
from loadtest.report.series import Grid, Series, only_changes, thin

INK, MUTED, LINES, PAPER = "#1b1f24", "#5b6471", "#e2e6ea", "#fefefe"
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, YELLOW, GREY = "#56b4e9", "#cc79a7", "#f0e442", "#8a929b"

PNG_DPI = 200
MOST_CORNERS = 1000
"""Of one line. Arbitrary: more than there are pixels, and few enough for the page's size."""
Dash = Literal["-", ":", "--"]
NAN = float("nan")

_CSS_NAMES = {
    INK: "--ink",
    MUTED: "--muted",
    LINES: "--lines",
    PAPER: "--paper",
    BLUE: "--blue",
    GREEN: "--green",
}
"""What the page turns into its own colours, so that a picture follows light and dark."""
LONG_S = 130
"""Time axes longer than this are in minutes and seconds."""
_TICKS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200)


@dataclass(frozen=True, slots=True)
class Look:
    """How wide a picture is, and so how much fits into it."""

    width_in: float
    is_narrow: bool = False
    size_pt: float = 8.5

    @property
    def most_ticks(self) -> int:
        return 5 if self.is_narrow else 10


WIDE = Look(10.0)
NARROW = Look(4.3, is_narrow=True, size_pt=8.0)
"""For a telephone: the same picture made anew, since a wide one shrunk cannot be read."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure, and the look that it has to be put to a file with: ticks are made only then."""

    figure: Figure
    look: Look


def drawn(look: Look, height_in: float, draw: Callable[[Figure], None]) -> Drawing:
    """A figure of that look, with the common type and without mathematics in texts."""
    with mpl.rc_context(_style(look)):
        figure = Figure(figsize=(look.width_in, height_in), facecolor="none")
        FigureCanvasAgg(figure)
        draw(figure)
    return Drawing(figure, look)


def to_svg(drawing: Drawing, prefix: str) -> str:
    """The figure as an `<svg>` to stand in a page: text as text, ids of its own, and the page's
    font and basic colours."""
    buffer = io.StringIO()
    style = {**_style(drawing.look), "svg.fonttype": "none", "svg.hashsalt": prefix}
    with mpl.rc_context(style):
        drawing.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"(font: (?:\w+ )*[\d.]+px) [^;\"]+", r"\1 var(--font)", text)
    for colour, name in _CSS_NAMES.items():
        text = text.replace(colour, f"var({name})")
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", text)
    opening, rest = text.split(">", 1)
    # The page sets the width; the height follows from the view box.
    opening = re.sub(r' (width|height|version)="[^"]*"', "", opening)
    return f'{opening} role="img">{rest}'


def to_png(drawing: Drawing) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(_style(drawing.look)):
        drawing.figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white")
    return buffer.getvalue()


def _style(look: Look) -> Any:
    small = look.size_pt
    return {
        "font.family": "DejaVu Sans",
        "font.size": small,
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": LINES,
        "axes.facecolor": "none",
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": LINES,
        "grid.linewidth": 0.7,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "ytick.major.size": 0,
        "xtick.major.size": 3,
        "legend.frameon": False,
        "legend.fontsize": small,
        "legend.handlelength": 1.3,
        "legend.handletextpad": 0.5,
        "legend.columnspacing": 1.2,
        "legend.borderaxespad": 0.0,
        "legend.borderpad": 0.0,
        "lines.linewidth": 1.5,
        "lines.solid_capstyle": "butt",
        "path.simplify": True,
        "path.simplify_threshold": 0.3,
    }


def head(axes: Axes, title: str, entries: Sequence[tuple[str, Artist]] = ()) -> None:
    """A panel's title at its upper left, what its colours mean at its upper right: above the
    data, where neither can cover it."""
    axes.set_title(title, loc="left", fontweight="bold", color=INK, fontsize="medium", pad=5)
    if entries:
        axes.legend(
            [artist for _, artist in entries],
            [words.short(name, 34) for name, _ in entries],
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            bbox_transform=axes.transAxes + _up(axes, 4.0),
            ncols=len(entries),
            labelcolor=MUTED,
        )


def _up(axes: Axes, points: float) -> Transform:
    return ScaledTranslation(0, points / 72, axes.figure.dpi_scale_trans)


def patch(colour: str, alpha: float = 1.0) -> Patch:
    return Patch(facecolor=colour, alpha=alpha, linewidth=0)


def stroke(colour: str, style: Dash = "-", width: float = 1.8) -> Line2D:
    return Line2D([], [], color=colour, linestyle=style, linewidth=width)


def say(axes: Axes, text: str) -> None:
    """In place of data that there is none of."""
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, wrap=True
    )
    axes.set_yticks([])
    axes.grid(visible=False)


def time_axis(axes: Axes, grid: Grid, look: Look, *, labelled: bool) -> None:
    """From the first upload's time to the last look; labelled on the lowest panel only."""
    span = grid.end - grid.begin
    step = next((s for s in _TICKS_S if span / s <= look.most_ticks), 86_400)
    axes.set_xlim(grid.begin - 0.005 * span, grid.end + 0.005 * span)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    in_seconds = span < LONG_S
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: words.clock(at, in_seconds=in_seconds))
    )
    axes.tick_params(labelbottom=labelled)
    if labelled:
        axes.set_xlabel("time since the first upload was due" + _unit(span))


def _unit(span: float) -> str:
    return " (hours:minutes:seconds)" if span >= 3600 else " (minutes:seconds)" * (span >= LONG_S)


def counts_axis(axes: Axes, highest: float | None, *, room: float = 1.12, whole: bool) -> None:
    """From 0 to a little above the highest value."""
    top = max(highest or 0.0, 1.0 if whole else 1e-9)
    ticks = MaxNLocator(
        nbins=max(2, round(4.5 / room)), steps=[1, 2, 2.5, 5, 10], integer=whole, min_n_ticks=2
    ).tick_values(0, top)
    # None in the room above, which belongs to the marks.
    axes.set_yticks([tick for tick in ticks if 0 <= tick <= top * 1.12])
    axes.set_ylim(0, top * room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))


def floats(values: Sequence[float | None]) -> list[float]:
    """None becomes nan, which is drawn as a gap."""
    return [NAN if value is None else value for value in values]


def area(
    axes: Axes, series: Series, colour: str, *, step: bool = False, alpha: float = 0.3
) -> None:
    """A filled area with its upper edge; unknown is left open."""
    at, values = _points(series, step=step)
    axes.fill_between(at, values, color=colour, alpha=alpha, linewidth=0)
    axes.plot(at, values, color=colour, linewidth=1.2)
    _dots(axes, series, colour)


def line(
    axes: Axes,
    series: Series,
    colour: str,
    *,
    style: Dash = "-",
    width: float = 1.6,
    step: bool = False,
) -> None:
    """A line with gaps."""
    at, values = _points(series, step=step)
    axes.plot(at, values, color=colour, linestyle=style, linewidth=width)
    _dots(axes, series, colour)


def _points(series: Series, *, step: bool) -> tuple[list[float], list[float]]:
    """Steps are drawn as their corners, so that an area and its edge end at the same place."""
    if not step:
        return list(series.at), floats(series.values)
    thinner = thin(only_changes(series), MOST_CORNERS)
    at, values = list(thinner.at), floats(thinner.values)
    corners_at, corners = at[:1], values[:1]
    for number in range(1, len(at)):
        corners_at += [at[number], at[number]]
        corners += [values[number - 1], values[number]]
    return corners_at, corners


def _dots(axes: Axes, series: Series, colour: str) -> None:
    """A value that is known alone, between two gaps, would have no line: it is a dot."""
    values = series.values
    lonely = [
        number
        for number, value in enumerate(values)
        if value is not None
        and all(
            not 0 <= beside < len(values) or values[beside] is None
            for beside in (number - 1, number + 1)
        )
    ]
    if lonely:
        at = [series.at[number] for number in lonely]
        axes.plot(at, floats([values[n] for n in lonely]), "o", color=colour, markersize=2.6)
