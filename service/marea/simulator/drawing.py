"""A picture as a list of shapes, which `svg` and `png` put into their formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Line:
    points: tuple[Point, ...]
    colour: str
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon."""

    points: tuple[Point, ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Text:
    at: Point
    """Of the baseline, at the end that `anchor` names."""
    text: str
    size: int = 11
    anchor: Anchor = "start"
    colour: str = "#333333"
    is_bold: bool = False


@dataclass(slots=True)
class Drawing:
    width: int
    height: int
    shapes: list[Line | Area | Text] = field(default_factory=list)
