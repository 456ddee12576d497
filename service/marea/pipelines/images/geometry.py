"""Sizes and boxes in whole pixels. Pure arithmetic, no Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = tuple[int, int]
ResizeMode = Literal["fit", "fill", "limit", "pad"]

GRAVITIES = (
    "northwest",
    "north",
    "northeast",
    "west",
    "center",
    "east",
    "southwest",
    "south",
    "southeast",
)


GAP = 2
"""Scaling starts from at least so many times the side that is needed, where what it starts from
was itself scaled: by JPEG's DCT, by averaging blocks, or for a larger result. From less, the
first scaling shows."""


@dataclass(frozen=True, slots=True)
class ResizePlan:
    """Scale to `scaled`, then cut or pad to `canvas` (equal where neither is needed)."""

    scaled: Size
    canvas: Size


def plan_resize(
    size: Size, width: int | None, height: int | None, mode: ResizeMode, *, upscale: bool
) -> ResizePlan:
    """`fit`/`limit`: inside the box, ratio kept. `fill`: the box's ratio, the rest cut off.
    `pad`: fitted, then a canvas of the box's size.

    Without `upscale` nothing is enlarged: `fill` then cuts to the box's ratio at the largest
    size the source has.
    """
    source_width, source_height = size
    scales = []
    if width is not None:
        scales.append(width / source_width)
    if height is not None:
        scales.append(height / source_height)
    if mode == "fill" and width is not None and height is not None:
        scale = max(scales)
        if scale > 1 and not upscale:
            cut = (_rounded(width / scale), _rounded(height / scale))
            return ResizePlan(size, (min(cut[0], source_width), min(cut[1], source_height)))
        scaled = (
            max(width, _rounded(source_width * scale)),
            max(height, _rounded(source_height * scale)),
        )
        return ResizePlan(scaled, (width, height))
    scale = min(scales)
    if not upscale:
        scale = min(scale, 1.0)
    scaled = (_rounded(source_width * scale), _rounded(source_height * scale))
    if mode == "pad" and width is not None and height is not None:
        return ResizePlan(scaled, (width, height))
    return ResizePlan(scaled, scaled)


def _rounded(length: float) -> int:
    return max(1, round(length))


def offset(outer: Size, inner: Size, gravity: str) -> tuple[int, int]:
    """Left and top of `inner` within `outer`, at one of the nine places of `GRAVITIES`."""
    row, column = divmod(GRAVITIES.index(gravity), 3)
    return (outer[0] - inner[0]) * column // 2, (outer[1] - inner[1]) * row // 2
