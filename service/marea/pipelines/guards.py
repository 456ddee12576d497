"""What is refused before any decoder sees it: by size, by magic bytes, by declared dimensions.

Reads at most headers, allocates nothing from what they claim, and imports no decoder. Every
refusal is a `PermanentError` that says what, which limit, and what to do next.
"""

from __future__ import annotations

from marea.errors import PermanentError

MAX_BYTES = 64 * 2**20
"""Default cap of a source; the gateway's presigned uploads have the same."""

MAX_PIXELS = 64_000_000
"""Default cap of width x height x decoded frames. A 64-megapixel RGBA image is 256 MB, and a
step holds two: this is what a child's memory limit is made for."""

MAX_FRAMES = 500
"""Default cap of an animation's frames; gut feeling: 20 s at 25 frames a second."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
"""Formats that are decoded at all. Others are left out because their decoders are rarely used
and have had most of the security holes (JPEG 2000, PSD, FITS, EPS, ICO...)."""

_AVIF_BRANDS = (b"avif", b"avis")

_LOOKS_LIKE: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document, which is one)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"SIMPLE  =", "a FITS image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
)


def check_size(size_bytes: int, max_bytes: int) -> None:
    """Raises `PermanentError` (`file-too-large`)."""
    if size_bytes > max_bytes:
        raise PermanentError(
            f"the file is {size_bytes:,} bytes and the limit is {max_bytes:,}; upload a smaller"
            " file, or raise max_bytes in the pipeline's limits",
            code="file-too-large",
        )


def check_not_empty(data: bytes) -> None:
    """Raises `PermanentError` (`file-empty`)."""
    if not data:
        raise PermanentError(
            "the file is empty (0 bytes); upload it again, the transfer may have been cut off",
            code="file-empty",
        )


def image_format(data: bytes) -> str:
    """The format by content, one of `FORMATS`; the name and content type are not looked at.

    Raises `PermanentError` (`file-empty`, `unsupported-format`).
    """
    check_not_empty(data)
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and _is_avif(data):
        return "AVIF"
    if data.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    if data.startswith(b"BM") and len(data) >= 26 and data[14] in (12, 40, 52, 56, 64, 108, 124):
        return "BMP"
    raise PermanentError(
        f"the file looks like {describe_content(data)}, not like an image that is accepted"
        f" ({', '.join(FORMATS)}); convert it and upload it again",
        code="unsupported-format",
    )


def _is_avif(data: bytes) -> bool:
    length = min(int.from_bytes(data[:4], "big"), 256)
    return any(data[at : at + 4] in _AVIF_BRANDS for at in (8, *range(16, length, 4)))


def describe_content(data: bytes) -> str:
    """What bytes look like, in words for the uploader: "a PDF document", "plain text"..."""
    for magic, words in _LOOKS_LIKE:
        if data.startswith(magic):
            return words
    if data[4:8] == b"ftyp":
        is_heif = data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
        return "a HEIC image" if is_heif else "an MP4 or QuickTime video"
    if data.startswith(b"RIFF"):
        return "an audio or video file (RIFF)"
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<") and b"<svg" in start:
        return "an SVG drawing"
    if start.startswith(b"<?xml"):
        return "an XML document"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text"
    if b"\x00" not in data[:1024]:
        try:
            # A character may be cut at the end of the excerpt: four bytes are the longest.
            data[:1024].decode("utf-8")
        except UnicodeDecodeError as exc:
            if exc.start < min(len(data), 1024) - 3:
                return "an unknown binary file"
        return "plain text"
    return "an unknown binary file"


def declared_size(data: bytes, form: str) -> tuple[int, int] | None:
    """Width and height in pixels as the header claims; None where only a decoder can tell."""
    match form:
        case "PNG" if data[12:16] == b"IHDR" and len(data) >= 24:
            return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        case "GIF" if len(data) >= 10:
            return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
        case "BMP" if data[14] == 12:
            return int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
        case "BMP":
            height = int.from_bytes(data[22:26], "little", signed=True)
            return int.from_bytes(data[18:22], "little"), abs(height)
        case "WEBP" if len(data) >= 30:
            return _webp_size(data)
        case "JPEG":
            return _jpeg_size(data)
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    match data[12:16]:
        case b"VP8X":
            width = int.from_bytes(data[24:27], "little") + 1
            return width, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width = int.from_bytes(data[26:28], "little") & 0x3FFF
            return width, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # Fill byte.
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            return int.from_bytes(data[at + 7 : at + 9], "big"), height
        if marker == 0xDA:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def check_pixels(width: int, height: int, max_pixels: int, *, frames: int = 1) -> None:
    """Raises `PermanentError` (`image-too-large`)."""
    pixels = width * height * frames
    if pixels > max_pixels:
        times = f" x {frames:,} frames" if frames > 1 else ""
        raise PermanentError(
            f"the image is {width:,} x {height:,} pixels{times}, {pixels / 1e6:,.1f} megapixels,"
            f" and the limit is {max_pixels / 1e6:,.1f}; upload a smaller one, or raise"
            " max_pixels in the pipeline's limits",
            code="image-too-large",
        )


def check_frames(frames: int, max_frames: int) -> None:
    """Raises `PermanentError` (`too-many-frames`)."""
    if frames > max_frames:
        raise PermanentError(
            f"the animation has {frames:,} frames and the limit is {max_frames:,}; upload a"
            " shorter one, or raise max_frames in the pipeline's limits",
            code="too-many-frames",
        )


def is_cut_off(data: bytes, form: str) -> bool:
    """Whether the file's end is missing by its own format's account; for messages only."""
    match form:
        case "JPEG":
            return b"\xff\xd9" not in data[-1024:]
        case "PNG":
            return b"IEND" not in data[-1024:]
        case "GIF":
            return b";" not in data[-16:]
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "BMP":
            return int.from_bytes(data[2:6], "little") > len(data)
    return False
