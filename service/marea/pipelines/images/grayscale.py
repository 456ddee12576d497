"""Take the colour out."""

from __future__ import annotations

from PIL import Image


def grayscale(image: Image.Image) -> Image.Image:
    """Luma by ITU-R 601-2, the weights that JPEG itself uses; alpha is kept."""
    return image.convert("LA" if image.mode in ("LA", "RGBA") else "L")
