"""Choose what survives of the metadata."""

from __future__ import annotations

from dataclasses import replace

from marea.pipelines.images.picture import Picture


def strip(picture: Picture, *, keep: tuple[str, ...]) -> Picture:
    """`copyright`: EXIF Artist and Copyright. `icc`: the profile, the pixels then being left
    in its colours; without it they are sRGB. Position, camera, dates, comments always go."""
    return replace(picture, keep=keep)
