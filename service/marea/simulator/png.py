"""A drawing as PNG, by Pillow, which the image pipelines need anyway."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from marea.simulator.drawing import Area, Drawing, Line, Point, Text

SCALE = 2
"""Pixels per unit: sharp on a dense screen, and half of it drawn smooth."""

_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def to_png(drawing: Drawing) -> bytes:
    image = Image.new("RGB", (drawing.width * SCALE, drawing.height * SCALE), "white")
    canvas = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        _draw(canvas, shape)
    data = BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def _draw(canvas: ImageDraw.ImageDraw, shape: Line | Area | Text) -> None:
    match shape:
        case Line(points, colour, width):
            canvas.line(_scaled(points), fill=colour, width=max(1, round(width * SCALE)))
        case Area(points, colour):
            canvas.polygon(_scaled(points), fill=colour)
        case Text():
            font = ImageFont.load_default(shape.size * SCALE)
            at = (shape.at[0] * SCALE, shape.at[1] * SCALE)
            bold = SCALE / 4 if shape.is_bold else 0
            canvas.text(
                at, shape.text, shape.colour, font, _ANCHORS[shape.anchor], stroke_width=bold
            )


def _scaled(points: tuple[Point, ...]) -> list[Point]:
    return [(x * SCALE, y * SCALE) for x, y in points]
