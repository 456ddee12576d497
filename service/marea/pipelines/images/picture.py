"""What travels between image steps: the pixels and how they will be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from marea.pipelines.images.formats import Format


@dataclass(frozen=True, slots=True)
class Picture:
    """One result in the making. Frames are in mode L, LA, RGB or RGBA, all of one size."""

    frames: tuple[Image.Image, ...]
    target: Format
    orientation: int = 1
    """EXIF's, 1 to 8, of the frames as they are; 1 = upright."""
    full_size: tuple[int, int] | None = None
    """The size that the frames stand for, where a JPEG was decoded at a fraction of it."""
    durations_ms: tuple[int, ...] = ()
    loop: int | None = None
    """Times an animation repeats, 0 = for ever; None = the file does not say."""
    role: str = ""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    """Chosen by `convert`: quality, progressive, lossless."""
    keep: tuple[str, ...] = ("copyright",)
    copyright: Mapping[int, str] = field(default_factory=dict)
    """EXIF tags Artist and Copyright, as far as the source has them."""
    icc_profile: bytes = b""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """For the record's details."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that steps reckon with, in pixels."""
        return self.full_size or self.frames[0].size

    def map(self, change: Callable[[Image.Image], Image.Image]) -> Picture:
        """The same change made to every frame, leaving the size that it stands for."""
        return replace(self, frames=tuple(change(frame) for frame in self.frames))

    def resized(self, change: Callable[[Image.Image], Image.Image]) -> Picture:
        """The same change made to every frame; the size is from now on what they have."""
        return replace(self.map(change), full_size=None)
