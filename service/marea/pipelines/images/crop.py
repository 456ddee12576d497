"""Cut a box out."""

from __future__ import annotations

from PIL import Image

from marea.errors import PermanentError
from marea.pipelines.images.geometry import offset


def crop(
    image: Image.Image, *, width: int, height: int, x: int | None, y: int | None, gravity: str
) -> Image.Image:
    """The part of the box that lies inside the image, in pixels from the upper left.

    Raises `PermanentError` (`crop-outside`) if none does.
    """
    if x is None or y is None:
        inner = (min(width, image.width), min(height, image.height))
        x, y = offset(image.size, inner, gravity)
    if x >= image.width or y >= image.height:
        raise PermanentError(
            f"the crop starts at {x:,}, {y:,} and the image ends at {image.width:,},"
            f" {image.height:,}; upload a larger image, or crop by gravity",
            code="crop-outside",
        )
    return image.crop((x, y, min(x + width, image.width), min(y + height, image.height)))
