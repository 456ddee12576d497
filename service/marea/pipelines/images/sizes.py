"""Several widths from one decode."""

from __future__ import annotations

from dataclasses import replace

from marea.pipelines.images.geometry import plan_resize
from marea.pipelines.images.picture import Picture
from marea.pipelines.images.resize import scale


def sizes(picture: Picture, *, widths: tuple[int, ...]) -> tuple[Picture, ...]:
    """One picture per width in pixels, its role the width as text.

    Every one is made, so that the result keys follow from the source's key alone; one that
    would enlarge the picture has the picture's own size.
    """
    made = []
    for width in widths:
        plan = plan_resize(picture.size, width, None, "fit", upscale=False)
        scaled = picture.resized(lambda frame, size=plan.scaled: scale(frame, size))  # type: ignore[misc]
        made.append(replace(scaled, role=str(width)))
    return tuple(made)
