"""Runs drawn below each other on one time axis: what came, what waited, who was there for it.

A panel per scaler, of three strips: arrivals a second; jobs that wait; replicas wanted, ready
and busy. Strips of the same kind have the same scale, so panels can be compared by eye.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from statistics import median

from marea.simulator.drawing import Area, Drawing, Line, Point, Text
from marea.simulator.observe import LOOK_S, Series

WIDTH = 1000
LEFT, RIGHT = 62, 16
HEAD, FOOT = 44, 30
LINE, CHARACTERS = 15, 150
"""Of what is said about the trace: a line's height, and how much of it fits the width."""
TITLE = 26
ARRIVALS, BACKLOG, REPLICAS = 22, 56, 84
GAP = 8
PANEL = TITLE + ARRIVALS + BACKLOG + REPLICAS + 3 * GAP
MAX_SPAN = 3.0
"""A run longer than so many times the median run is cut off, and its panel says so."""

ARRIVAL, WAITING = "#33475b", "#a9bdd0"
WANTED, READY, BUSY = "#d9730d", "#1f5fa8", "#9fd3a8"
GRID, FAINT = "#e3e6ea", "#666666"

_LEGEND = (
    (ARRIVAL, "arrivals/s"),
    (WAITING, "waiting jobs"),
    (WANTED, "replicas wanted"),
    (READY, "replicas ready"),
    (BUSY, "busy (slots as replicas)"),
)


class Axis:
    """Values to places on paper."""

    def __init__(self, low: float, high: float, place_low: float, place_high: float) -> None:
        self._low, self._place = low, place_low
        self._factor = (place_high - place_low) / max(high - low, 1e-9)

    def __call__(self, value: float) -> float:
        return self._place + (value - self._low) * self._factor


def draw(title: str, about: str, runs: Mapping[str, tuple[str, Series]]) -> Drawing:
    """`runs`: by scaler, a line about it and what it looked like."""
    told = textwrap.wrap(about, CHARACTERS)
    head = HEAD + LINE * len(told)
    series = [each for _, each in runs.values()]
    span_s = _span_s(series)
    drawing = Drawing(WIDTH, head + PANEL * len(runs) + FOOT)
    drawing.shapes.append(
        Area(((0, 0), (WIDTH, 0), (WIDTH, drawing.height), (0, drawing.height)), "#ffffff")
    )
    drawing.shapes.append(Text((LEFT, 18), title, 14, is_bold=True))
    for number, text in enumerate(told):
        drawing.shapes.append(Text((LEFT, 34 + LINE * number), text, colour=FAINT))
    _legend(drawing, head - HEAD)
    seconds = Axis(0.0, span_s, LEFT, WIDTH - RIGHT)
    thin = {name: _thinned(each, span_s) for name, (_, each) in runs.items()}
    tops = (
        max(max(each.arrivals, default=0) for each in thin.values()),
        max(max(each.backlog, default=0) for each in thin.values()),
        max(max((*each.wanted, *each.ready), default=0) for each in thin.values()),
    )
    top = head
    for name, (line, whole) in runs.items():
        is_cut = whole.at_s[-1] - whole.at_s[0] > span_s + LOOK_S
        note = f"{line}; goes on beyond this axis" if is_cut else line
        _panel(drawing, top, name, note, thin[name], seconds, tops, span_s)
        top += PANEL
    for at_s in _ticks(span_s):
        drawing.shapes.append(Text((seconds(at_s), top + 14), _clock(at_s), 10, "middle", FAINT))
    return drawing


def _span_s(series: Sequence[Series]) -> float:
    lengths = [each.at_s[-1] - each.at_s[0] for each in series]
    return max(min(max(lengths), MAX_SPAN * median(lengths)), 1.0)


def _legend(drawing: Drawing, top: float) -> None:
    x, low, high = float(LEFT), top + 35, top + 27
    for colour, name in _LEGEND:
        drawing.shapes.append(Area(((x, high), (x + 12, high), (x + 12, low), (x, low)), colour))
        drawing.shapes.append(Text((x + 17, low), name))
        x += 17 + 6.6 * len(name) + 18


def _thinned(series: Series, span_s: float) -> Series:
    """At most one value a pixel: the highest of its seconds (of arrivals, their rate)."""
    looks = [at for at in range(len(series.at_s)) if series.at_s[at] - series.at_s[0] <= span_s]
    stride = max(1, math.ceil(len(looks) / (WIDTH - LEFT - RIGHT)))
    thin = Series()
    for first in range(0, len(looks), stride):
        part = slice(first, min(first + stride, len(looks)))
        thin.at_s.append(series.at_s[first] - series.at_s[0])
        thin.arrivals.append(round(sum(series.arrivals[part]) / stride / LOOK_S))
        thin.backlog.append(max(series.backlog[part]))
        thin.wanted.append(max(series.wanted[part]))
        thin.ready.append(max(series.ready[part]))
        thin.busy.append(max(series.busy[part]))
    return thin


def _panel(
    drawing: Drawing,
    top: float,
    name: str,
    about: str,
    series: Series,
    seconds: Axis,
    tops: tuple[int, int, int],
    span_s: float,
) -> None:
    drawing.shapes.append(Text((LEFT, top + 17), name, 13, is_bold=True))
    drawing.shapes.append(Text((LEFT + 14 + 8.0 * len(name), top + 17), about, 11, colour=FAINT))
    top += TITLE
    places = []
    for height, most in zip((ARRIVALS, BACKLOG, REPLICAS), tops, strict=True):
        places.append(Axis(0.0, most, top + height, top))
        _frame(drawing, top, height, most, seconds, span_s)
        top += height + GAP
    arrivals, backlog, replicas = places
    drawing.shapes += [
        Area(_filled(series.at_s, series.arrivals, seconds, arrivals), ARRIVAL),
        Area(_filled(series.at_s, series.backlog, seconds, backlog), WAITING),
        Area(_filled(series.at_s, series.busy, seconds, replicas), BUSY),
        Line(_stepped(series.at_s, series.wanted, seconds, replicas), WANTED, 1.5),
        Line(_stepped(series.at_s, series.ready, seconds, replicas), READY, 1.5),
    ]


def _frame(
    drawing: Drawing, top: float, height: float, most: int, seconds: Axis, span_s: float
) -> None:
    for at_s in _ticks(span_s):
        x = seconds(at_s)
        drawing.shapes.append(Line(((x, top), (x, top + height)), GRID))
    base = top + height
    drawing.shapes.append(Line(((LEFT, base), (WIDTH - RIGHT, base)), "#b5bac0"))
    drawing.shapes.append(Text((LEFT - 6, top + 9), f"{most:,}", 10, "end", FAINT))
    if height > ARRIVALS:
        drawing.shapes.append(Text((LEFT - 6, base), "0", 10, "end", FAINT))


def _stepped(
    at_s: Sequence[float], values: Sequence[float], seconds: Axis, place: Axis
) -> tuple[Point, ...]:
    """Horizontal until the next value, then straight up or down."""
    points: list[Point] = [(seconds(at_s[0]), place(values[0]))]
    for position in range(1, len(values)):
        if values[position] != values[position - 1]:
            x = seconds(at_s[position])
            points += [(x, points[-1][1]), (x, place(values[position]))]
    points.append((seconds(at_s[-1] + LOOK_S), points[-1][1]))
    return tuple(points)


def _filled(
    at_s: Sequence[float], values: Sequence[float], seconds: Axis, place: Axis
) -> tuple[Point, ...]:
    points = _stepped(at_s, values, seconds, place)
    return ((points[0][0], place(0.0)), *points, (points[-1][0], place(0.0)))


def _ticks(span_s: float) -> list[float]:
    """At most ten round times."""
    steps = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
    step = next((each for each in steps if span_s / each <= 10), 7 * 86_400)
    return [float(step * position) for position in range(math.floor(span_s / step) + 1)]


def _clock(at_s: float) -> str:
    minutes, rest = divmod(round(at_s), 60)
    if minutes == 0:
        return f"{rest} s"
    return f"{minutes} min" if rest == 0 else f"{minutes}:{rest:02}"
