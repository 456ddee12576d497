"""The picture and the page: whole, in scale, and standing alone."""

from __future__ import annotations

import re
from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image

from marea.simulator.drawing import Line, Text
from marea.simulator.observe import Series
from marea.simulator.picture import READY, WANTED, draw
from marea.simulator.png import SCALE, to_png
from marea.simulator.report import page
from marea.simulator.runs import compare, observe
from marea.simulator.svg import to_svg
from marea.simulator.trace import Job, Trace

TRACE = Trace("few <jobs>", "", tuple(Job(float(n), 5.0) for n in range(40)))


def series(values: list[int]) -> Series:
    count = len(values)
    return Series(
        [float(n) for n in range(count)], [1] * count, values, values, values, [0.0] * count
    )


def lines(drawing, colour: str) -> list[Line]:  # type: ignore[no-untyped-def]
    return [each for each in drawing.shapes if isinstance(each, Line) and each.colour == colour]


def test_what_an_observed_run_did_is_what_it_scored() -> None:
    observer, score = observe(TRACE, "builtin", 1)
    seen = observer.series
    assert sum(seen.arrivals) == 40
    assert max(seen.wanted) >= max(seen.ready) >= max(seen.busy) > 0
    assert seen.at_s[-1] >= score.drain_s


def test_panels_share_the_scale_of_replicas() -> None:
    drawing = draw("x", "about it", {"a": ("", series([10] * 60)), "b": ("", series([5] * 60))})
    heights = []
    for line in lines(drawing, WANTED):
        heights.append(line.points[0][1])
    first_panel = max(y for shape in lines(drawing, "#b5bac0")[:3] for _, y in shape.points)
    second_panel = max(y for shape in lines(drawing, "#b5bac0")[3:] for _, y in shape.points)
    assert first_panel - heights[0] == pytest.approx(2 * (second_panel - heights[1]))


def test_a_run_that_goes_on_much_longer_is_cut_and_says_so() -> None:
    runs = {name: ("", series([1] * 100)) for name in "ab"} | {"c": ("", series([1] * 9000))}
    told = [shape.text for shape in draw("x", "about it", runs).shapes if isinstance(shape, Text)]
    assert sum("goes on beyond this axis" in text for text in told) == 1


def test_nothing_is_drawn_outside_the_paper() -> None:
    observer, _ = observe(TRACE, "keda", 1)
    drawing = draw("x", "about it", {"keda": ("", observer.series)})
    assert lines(drawing, READY)
    for shape in drawing.shapes:
        points = (shape.at,) if isinstance(shape, Text) else shape.points
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)


def test_svg_and_png_hold_the_same_picture() -> None:
    drawing = draw("a < b & c", "", {"builtin": ("", series([3] * 20))})
    svg = ElementTree.fromstring(to_svg(drawing))
    assert svg.get("width") == str(drawing.width)
    assert "a < b & c" in {each.text for each in svg.iter() if each.tag.endswith("text")}
    image = Image.open(BytesIO(to_png(drawing)))
    assert image.size == (drawing.width * SCALE, drawing.height * SCALE)
    colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert tuple(bytes.fromhex(WANTED[1:])) in colours


def test_the_page_stands_alone_and_escapes_what_it_is_told() -> None:
    scores = compare(lambda _: TRACE, ["builtin", "keda"], range(2))
    text = page({TRACE.name: ("<about>", scores, "<svg/>")}, "two seeds", "marea --trace '<x>'")
    assert "few &lt;jobs&gt;" in text
    assert "&lt;about&gt;" in text
    assert not re.search(r"https?://|<script|src=|<link", text)
    assert text.count("<tr") == 3
