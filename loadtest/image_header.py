"""Width, height and mode of an image from its first bytes, with the standard library alone.

For PNG, JPEG, GIF, WebP and AVIF. Independent of Pillow on purpose: the checker must not
share a decoder with what it checks. Not a validator; pixels are never decoded.
"""

from __future__ import annotations

import json
import struct

_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_AVIF_CHANNELS = {1: "L", 3: "RGB"}


def shape_of(body: bytes) -> str:
    """`image:<width>x<height>:<mode>`, `json`, or "" if it is neither."""
    try:
        found = _image(body)
    except (struct.error, IndexError, ValueError):
        return ""
    if found:
        width_px, height_px, mode = found
        return f"image:{width_px}x{height_px}:{mode}"
    try:
        json.loads(body)
    except ValueError:
        return ""
    return "json"


def _image(body: bytes) -> tuple[int, int, str] | None:
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height, _, colour = struct.unpack_from(">IIBB", body, 16)
        return width, height, _PNG_MODES.get(colour, "?")
    if body.startswith(b"\xff\xd8\xff"):
        return _jpeg(body)
    if body[:6] in (b"GIF87a", b"GIF89a"):
        width, height = struct.unpack_from("<HH", body, 6)
        return width, height, "P"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return _webp(body)
    if body[4:12] in (b"ftypavif", b"ftypavis"):
        return _avif(body)
    return None


def _jpeg(body: bytes) -> tuple[int, int, str]:
    at = 2
    while True:
        if body[at] != 0xFF:
            raise ValueError("not at a marker")
        marker = body[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, components = struct.unpack_from(">HHB", body, at + 5)
            return width, height, _JPEG_MODES.get(components, "?")
        at += 2 + struct.unpack_from(">H", body, at + 2)[0]


def _webp(body: bytes) -> tuple[int, int, str]:
    kind = body[12:16]
    if kind == b"VP8X":
        flags = body[20]
        width = 1 + int.from_bytes(body[24:27], "little")
        height = 1 + int.from_bytes(body[27:30], "little")
        return width, height, "RGBA" if flags & 0x10 else "RGB"
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", body, 21)[0]
        mode = "RGBA" if bits >> 28 & 1 else "RGB"
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, mode
    width, height = struct.unpack_from("<HH", body, 26)
    return width & 0x3FFF, height & 0x3FFF, "RGB"


def _avif(body: bytes) -> tuple[int, int, str]:
    """The largest `ispe` is the picture (the others are its tiles or its alpha plane)."""
    sizes, channels = [], 3
    has_alpha = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" in body
    at = body.find(b"ispe")
    while at != -1:
        sizes.append(struct.unpack_from(">II", body, at + 8))
        at = body.find(b"ispe", at + 4)
    width, height = max(sizes)
    at = body.find(b"pixi")
    if at != -1:
        channels = body[at + 8]
    mode = _AVIF_CHANNELS.get(channels, "?")
    return width, height, {"RGB": "RGBA", "L": "LA"}.get(mode, mode) if has_alpha else mode
