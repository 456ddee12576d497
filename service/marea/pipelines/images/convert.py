"""Choose the result's format."""

from __future__ import annotations

from dataclasses import replace

from marea.pipelines.images.formats import FORMATS
from marea.pipelines.images.picture import Picture


def convert(
    picture: Picture, *, format: str, quality: int | None, progressive: bool, lossless: bool
) -> Picture:
    """Written as `format`; quality 1 to 100, None = the format's default (see `encode`)."""
    encoding = {"quality": quality, "progressive": progressive, "lossless": lossless}
    return replace(picture, target=FORMATS[format.upper()], encoding=encoding)
