"""Several widths from one decode."""

from __future__ import annotations

from dataclasses import replace

from marea.pipelines.images.geometry import GAP, plan_resize
from marea.pipelines.images.picture import Picture
from marea.pipelines.images.resize import scale


def sizes(picture: Picture, *, widths: tuple[int, ...]) -> tuple[Picture, ...]:
    """One picture per width in pixels, its role the width as text.

    Every one is made, so that the result keys follow from the source's key alone; one that
    would enlarge the picture has the picture's own size. A width is made from a wider one where
    that is `GAP` times as wide: half to two thirds of the time from the decoded picture.
    """
    made: dict[int, Picture] = {}
    for width in sorted(widths, reverse=True):
        size = plan_resize(picture.size, width, None, "fit", upscale=False).scaled
        # The narrowest that will do; widths fall, so it is the last one made.
        wider = [each for each in made.values() if each.frames[0].width >= GAP * size[0]]
        start = wider[-1] if wider else picture
        scaled = start.resized(lambda frame, size=size: scale(frame, size))  # type: ignore[misc]
        made[width] = replace(scaled, role=str(width))
    return tuple(made[width] for width in widths)
