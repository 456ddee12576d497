"""Draws profiles below each other on one axis of ms: a bar per span, where it began."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from loadtest.bench.spans import COMPUTING, PASSING_ON, STORE, Profile

SCALE = 2
"""Pixels per unit below, so that it is sharp on screens that have them."""
WIDTH = 940
MARGIN = 24
NAMES = 150
"""Width of the column of names."""
LAST = 60
"""Room for the figure right of the longest bar."""
HEAD = 96
"""Title, subtitle and legend."""
PANEL_TITLE = 36
ROW = 23
AXIS = 34
GAP = 18
"""Between two panels."""
COLOURS = {STORE: "#3b76b5", PASSING_ON: "#d98a29", COMPUTING: "#4c9a5f"}
INK, FAINT, LINE, PAPER, MARK = "#20242a", "#666d78", "#e3e6ea", "#ffffff", "#a3324a"
TICKS = 8
"""At most so many on the axis."""
STEPS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TITLE = "Where a job's milliseconds go"


def draw(profiles: Sequence[Profile], machine: str) -> Image.Image:
    """The picture of at least one profile; `machine` stands below the title."""
    height = HEAD + sum(_panel_height(each) for each in profiles)
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
    pen = _Pen(image)
    pen.text(MARGIN, 16, TITLE, 20)
    jobs = profiles[0].jobs
    pen.text(MARGIN, 44, f"One upload at a time, medians of {jobs}; {machine}", 12, colour=FAINT)
    _legend(pen)
    longest_ms = max(each.total_ms for each in profiles)
    top = HEAD
    for each in profiles:
        _panel(pen, top, each, longest_ms)
        top += _panel_height(each)
    return image


def _panel_height(profile: Profile) -> int:
    return PANEL_TITLE + ROW * len(profile.rows) + AXIS + GAP


def tick_step_ms(longest_ms: float) -> int:
    """The smallest round step that needs no more than `TICKS` ticks."""
    return next((step for step in STEPS_MS if longest_ms / step <= TICKS), STEPS_MS[-1])


def _legend(pen: _Pen) -> None:
    left: float = MARGIN
    for kind, colour in COLOURS.items():
        pen.box(left, 71, 12, 12, colour)
        left = pen.text(left + 18, 69, kind, 12) + 22
    pen.dashes(left + 5, 69, 85)
    pen.text(left + 14, 69, "LastModified of the result", 12)


def _panel(pen: _Pen, top: int, profile: Profile, longest_ms: float) -> None:
    pen.text(MARGIN, top + 6, profile.title, 15)
    whole = f"{profile.total_ms:.1f} ms until it is acknowledged"
    pen.text(WIDTH - MARGIN, top + 8, whole, 12, colour=FAINT, anchor="ra")
    left, right = MARGIN + NAMES, WIDTH - MARGIN - LAST
    per_ms = (right - left) / longest_ms
    first, bottom = top + PANEL_TITLE, top + PANEL_TITLE + ROW * len(profile.rows)
    step = tick_step_ms(longest_ms)
    for ms in range(0, int(longest_ms) + 1, step):
        x = left + ms * per_ms
        pen.box(x, first, 1, bottom - first + 4, LINE)
        pen.text(x, bottom + 8, f"{ms} ms", 11, colour=FAINT, anchor="ma")
    pen.dashes(left + profile.result_ms * per_ms, first, bottom + 4)
    for index, row in enumerate(profile.rows):
        y = first + ROW * index
        pen.text(left - 10, y + 4, row.name, 12, anchor="ra")
        x = left + row.start_ms * per_ms
        length = max(1.0, row.median_ms * per_ms)
        pen.box(x, y + 4, length, ROW - 8, COLOURS[row.kind])
        pen.label(x + length + 5, y + 4, f"{row.median_ms:.1f} ms", 12)


class _Pen:
    """Draws in units of the layout."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        corner = ((x + width) * SCALE - 1, (y + height) * SCALE - 1)
        self._draw.rectangle((x * SCALE, y * SCALE, *corner), fill=colour)

    def dashes(self, x: float, top: float, bottom: float) -> None:
        at = top
        while at < bottom:
            self.box(x, at, 1.5, min(4, bottom - at), MARK)
            at += 7

    def text(
        self, x: float, y: float, text: str, size: int, *, colour: str = INK, anchor: str = "la"
    ) -> float:
        """Its right end."""
        font = ImageFont.load_default(size * SCALE)
        self._draw.text((x * SCALE, y * SCALE), text, fill=colour, font=font, anchor=anchor)
        return x + font.getlength(text) / SCALE

    def label(self, x: float, y: float, text: str, size: int) -> None:
        """Text on paper, so that no line runs through it."""
        font = ImageFont.load_default(size * SCALE)
        self.box(x - 2, y, font.getlength(text) / SCALE + 4, size + 3, PAPER)
        self.text(x, y, text, size)
