"""A drawing as SVG, to stand in a page."""

from __future__ import annotations

from html import escape

from marea.simulator.drawing import Area, Drawing, Line, Point, Text


def to_svg(drawing: Drawing) -> str:
    shapes = "\n".join(_shape(shape) for shape in drawing.shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}"'
        f' width="{drawing.width}" height="{drawing.height}" role="img"'
        ' font-family="system-ui, DejaVu Sans, Arial, sans-serif">\n'
        f"{shapes}\n</svg>"
    )


def _shape(shape: Line | Area | Text) -> str:
    match shape:
        case Line(points, colour, width):
            return (
                f'<polyline points="{_points(points)}" fill="none" stroke="{colour}"'
                f' stroke-width="{width:g}"/>'
            )
        case Area(points, colour):
            return f'<polygon points="{_points(points)}" fill="{colour}"/>'
        case Text():
            weight = ' font-weight="600"' if shape.is_bold else ""
            return (
                f'<text x="{shape.at[0]:.1f}" y="{shape.at[1]:.1f}" font-size="{shape.size}"'
                f' text-anchor="{shape.anchor}" fill="{shape.colour}"{weight}>'
                f"{escape(shape.text)}</text>"
            )


def _points(points: tuple[Point, ...]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
