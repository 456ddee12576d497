"""Take the colour out."""

from __future__ import annotations

from PIL import Image


def grayscale(image: Image.Image) -> Image.Image:
    """Luma by ITU-R 601-2, the weights that JPEG itself uses; alpha is kept."""
    mode = "LA" if image.mode in ("LA", "RGBA") else "L"
    # A JPEG's luma is all that was decoded; `convert` would copy it.
    return image if image.mode == mode else image.convert(mode)
