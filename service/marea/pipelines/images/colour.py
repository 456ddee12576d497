"""Whatever a file holds becomes one of four working modes: L, LA, RGB, RGBA, in sRGB.

8 bits a channel: deeper images are scaled down, not clipped (Pillow's own conversion clips).
"""

from __future__ import annotations

import io
from dataclasses import replace

from PIL import Image, ImageCms

from marea.pipelines.images.picture import Picture

_TO_WORKING_MODE = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}


def working_image(image: Image.Image, icc_profile: bytes) -> Image.Image:
    """A plain copy in a working mode, without any of the file's metadata; with an alpha channel
    only where something is transparent.

    CMYK is always brought to sRGB (by `icc_profile`, or by Pillow's simple formula without
    one); RGB is left for `to_srgb`. Raises ValueError on a mode that no format here has.
    """
    if image.mode == "CMYK" and icc_profile:
        converted = _transformed(image, icc_profile, "CMYK")
        plain = converted if converted is not None else image.convert("RGB")
    elif image.mode.startswith("I") or image.mode == "F":
        plain = _scaled_to_8_bits(image)
    else:
        mode = _TO_WORKING_MODE[image.mode]
        if image.has_transparency_data and mode in ("L", "RGB"):
            mode = {"L": "LA", "RGB": "RGBA"}[mode]
        plain = image.convert(_without_opaque_alpha(image, mode))
    plain.info = {}
    return plain


def _without_opaque_alpha(image: Image.Image, mode: str) -> str:
    """`mode`, less an alpha channel that says nothing: it would only cost every step time."""
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
        return mode.removesuffix("A")
    return mode


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (255 / 65_535) + 0.5).convert("L")
    # 32-bit samples have no agreed white; a range that fits 8 or 16 bits is taken for those.
    _, highest = image.getextrema()
    top = float(highest) if isinstance(highest, int | float) else 255.0
    white = 255.0 if top <= 255 else 65_535.0 if top <= 65_535 else top
    if image.mode == "F" and top <= 1.0:
        white = 1.0
    return image.convert("F").point(lambda value: value * (255 / white) + 0.5).convert("L")


def to_srgb(picture: Picture) -> Picture:
    """RGB frames from the embedded profile's colours to sRGB's; other frames as they are."""
    profile = picture.icc_profile
    if not profile:
        return picture

    def change(frame: Image.Image) -> Image.Image:
        if frame.mode == "RGB":
            return _transformed(frame, profile, "RGB") or frame
        if frame.mode == "RGBA":
            colours = _transformed(frame.convert("RGB"), profile, "RGB")
            if colours is not None:
                colours.putalpha(frame.getchannel("A"))
                return colours
        return frame

    frames = tuple(change(frame) for frame in picture.frames)
    return replace(picture, frames=frames, icc_profile=b"")


def profile_space(icc_profile: bytes) -> str:
    """`RGB`, `GRAY`, `CMYK`..., or "" if the profile cannot be read."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    except (OSError, ValueError, TypeError):
        return ""
    return str(profile.profile.xcolor_space).strip()


def _transformed(image: Image.Image, icc_profile: bytes, space: str) -> Image.Image | None:
    """To sRGB, or None where the profile is unreadable or not for these channels.

    The space is compared first: a profile for other channels than the image has made
    Pillow < 12.3 write out of bounds (CVE-2026-59205).
    """
    if profile_space(icc_profile) != space:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if ImageCms.getProfileDescription(source).strip().startswith("sRGB"):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if converted is not None:
        converted.info = {}
    return converted
