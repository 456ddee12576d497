"""The formats that are written: extension, content type, limits. No Pillow in here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """One output format, by Pillow's name for it."""

    name: str
    extension: str
    content_type: str
    max_side_px: int
    modes: tuple[str, ...]
    """Working modes that it stores; others are converted, alpha being laid on white."""
    animates: bool = False
    keeps_exif: bool = True
    keeps_icc: bool = True


_ALL = ("L", "LA", "RGB", "RGBA")

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        # Pillow's JPEG encoder refuses more than libjpeg's 65,500.
        Format("JPEG", ".jpg", "image/jpeg", 65_500, ("L", "RGB")),
        Format("PNG", ".png", "image/png", 1_000_000, _ALL, animates=True),
        Format("WEBP", ".webp", "image/webp", 16_383, ("RGB", "RGBA"), animates=True),
        Format("AVIF", ".avif", "image/avif", 65_535, ("RGB", "RGBA"), animates=True),
        Format("GIF", ".gif", "image/gif", 65_535, _ALL, True, False, False),
        Format("TIFF", ".tif", "image/tiff", 1_000_000, _ALL),
        Format("BMP", ".bmp", "image/bmp", 1_000_000, ("L", "RGB"), False, False, False),
    )
}

FORMAT_OF_EXTENSION: dict[str, str] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
}


def format_to_write(extension: str, source_format: str) -> Format:
    """What a result under `extension` holds where no `convert` step says.

    The name wins over the content (PNG bytes uploaded as .jpg become a real JPEG), so that a
    result is what its key says; an unknown extension keeps the source's format.
    """
    return FORMATS[FORMAT_OF_EXTENSION.get(extension.lower(), source_format)]
