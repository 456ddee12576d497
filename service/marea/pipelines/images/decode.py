"""From bytes to a picture, with every limit checked before the memory is taken.

The only caller of `Image.open`. Whatever a hostile file makes a decoder raise leaves here as
`PermanentError`; a time limit's exception is none of these and passes.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile, UnidentifiedImageError

from marea.errors import PermanentError
from marea.pipelines.guards import (
    check_frames,
    check_pixels,
    declared_size,
    image_format,
    is_cut_off,
)
from marea.pipelines.images.colour import working_image
from marea.pipelines.images.formats import Format
from marea.pipelines.images.geometry import Size
from marea.pipelines.images.picture import Picture

# Both are Pillow's defaults and global; other code in the process must not have changed them.
ImageFile.LOAD_TRUNCATED_IMAGES = False

DECODER_ERRORS = (
    OSError,  # UnidentifiedImageError is one
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow's plugins are known to raise on broken files. Not `Exception`: the worker's soft
time limit is one, and must reach the worker."""

_ORIENTATION, _ARTIST, _COPYRIGHT = 0x0112, 0x013B, 0x8298
_COPYRIGHT_LIMIT = 1000
"""Characters kept of Artist and Copyright; gut feeling."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """From the pipeline's definition."""

    max_pixels: int
    max_frames: int
    all_frames: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What a JPEG may be decoded to, where the steps need no more of it."""

    needed_size: Callable[[Size], Size | None]
    """From the whole upright size in pixels to the smallest useful one; None = all of it."""
    gray: bool
    """Luma is enough."""


def read_format(data: bytes, limits: DecodeLimits) -> str:
    """The format by content, after the header's claims were held against the limits."""
    form = image_format(data)
    size = declared_size(data, form)
    if size is not None:
        check_pixels(*size, limits.max_pixels)
    return form


@contextmanager
def decoding(data: bytes, form: str, limits: DecodeLimits) -> Iterator[None]:
    """Pillow's own limits set to ours, and its errors turned into `PermanentError`."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DECODER_ERRORS as exc:
        raise _rejection(exc, data, form, limits) from exc
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _rejection(exc: Exception, data: bytes, form: str, limits: DecodeLimits) -> PermanentError:
    is_bomb = isinstance(exc, Image.DecompressionBombError | Image.DecompressionBombWarning)
    # Pillow's word for a PNG text chunk that inflates beyond its limit.
    if is_bomb or "decompressed data too large" in str(exc).lower():
        return PermanentError(
            f"this {form} file unpacks to far more than it should (the limit is"
            f" {limits.max_pixels / 1e6:,.1f} megapixels); upload a smaller image",
            code="decompression-bomb",
        )
    if isinstance(exc, EOFError) or "truncated" in str(exc).lower() or is_cut_off(data, form):
        return PermanentError(
            f"this {form} file of {len(data):,} bytes ends before the image does; upload it"
            " again, the transfer may have been cut off",
            code="image-truncated",
        )
    cause = "" if isinstance(exc, UnidentifiedImageError) else f" ({exc})"
    return PermanentError(
        f"this file starts like {form} and cannot be decoded{cause:.200}; open it, save it"
        " anew and upload that",
        code="image-corrupt",
    )


def decode(data: bytes, form: str, target: Format, draft: Draft, limits: DecodeLimits) -> Picture:
    """The picture as stored, not yet upright. Raises `PermanentError`."""
    with decoding(data, form, limits), _opened(data, form, limits) as image:
        check_pixels(*image.size, limits.max_pixels)
        full_size = image.size
        icc_profile = image.info.get("icc_profile") or b""
        orientation = 1
        if form == "JPEG":
            # A JPEG's tags are read without decoding, others' only after (PNG's eXIf may
            # follow the pixels), and only JPEG needs to know before.
            orientation = _orientation(image)
            _apply_draft(image, draft, orientation, has_profile=bool(icc_profile))
        image.load()
        if form != "JPEG":
            orientation = _orientation(image)
        notice = _copyright(image)
        loop = image.info.get("loop")
        frames, durations_ms = _frames(image, form, icc_profile, limits)
    return Picture(
        frames=frames,
        target=target,
        orientation=orientation,
        full_size=full_size if frames[0].size != full_size else None,
        durations_ms=durations_ms,
        loop=loop if isinstance(loop, int) else None,
        copyright=notice,
        icc_profile=icc_profile if isinstance(icc_profile, bytes) else b"",
    )


def _opened(data: bytes, form: str, limits: DecodeLimits) -> Image.Image:
    """The header read, nothing decoded."""
    try:
        return Image.open(io.BytesIO(data), formats=(form,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        # TIFF and AVIF, whose headers only Pillow reads: the size is openly declared.
        raise PermanentError(
            f"the image has more pixels than the limit of {limits.max_pixels / 1e6:,.1f}"
            " megapixels; upload a smaller one, or raise max_pixels in the pipeline's limits",
            code="image-too-large",
        ) from exc


def _apply_draft(image: Image.Image, draft: Draft, orientation: int, *, has_profile: bool) -> None:
    is_turned = orientation >= 5
    size = draft.needed_size(image.size[::-1] if is_turned else image.size)
    if size is not None and is_turned:
        size = size[::-1]
    # A profile says what the colours mean, so luma may be taken only after its conversion.
    mode = "L" if draft.gray and not has_profile else None
    if size is not None or mode is not None:
        image.draft(mode or image.mode, size or image.size)


def _frames(
    image: Image.Image, form: str, icc_profile: bytes, limits: DecodeLimits
) -> tuple[tuple[Image.Image, ...], tuple[int, ...]]:
    count = 1
    if limits.all_frames and form in ("GIF", "WEBP", "PNG", "AVIF"):
        count = int(getattr(image, "n_frames", 1))
        check_frames(count, limits.max_frames)
        check_pixels(*image.size, limits.max_pixels, frames=count)
    if count == 1:
        return (working_image(image, icc_profile),), ()
    frames, durations_ms = [], []
    for number in range(count):
        image.seek(number)
        image.load()
        frames.append(working_image(image, icc_profile))
        durations_ms.append(round(float(image.info.get("duration", 0) or 0)))
    # The frames of one file may differ in mode; steps and encoders want one.
    has_alpha = any(frame.mode in ("LA", "RGBA") for frame in frames)
    mode = "RGBA" if has_alpha else "RGB"
    return tuple(frame.convert(mode) for frame in frames), tuple(durations_ms)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 for anything unreadable: a broken tag is no broken image."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _copyright(image: Image.Image) -> dict[int, str]:
    try:
        exif = image.getexif()
        found = {tag: exif.get(tag) for tag in (_ARTIST, _COPYRIGHT)}
    except DECODER_ERRORS:
        return {}
    return {
        tag: "".join(filter(str.isprintable, value))[:_COPYRIGHT_LIMIT]
        for tag, value in found.items()
        if isinstance(value, str) and value.strip()
    }
