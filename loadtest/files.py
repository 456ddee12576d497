"""The files of a load, by kind: what is sent, and what must become of it.

Deterministic. Each upload has content of its own: a serial number goes into a comment of the
JPEG (a text chunk of the PNG, a row of the table), which costs no encoding. What must become of
a file holds for the built-in rules.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from PIL import ImageOps

from loadtest.demo.corpus import NAMES, encoded, photo
from loadtest.history import Expected, Oracle

VARIANTS = 5
"""Pictures of each kind. Arbitrary: enough that sizes differ, few enough to be made in a moment."""
THUMBNAIL_SIDE = 256
"""Of the built-in pipeline `thumbnail`."""

Key = str


@dataclass(frozen=True, slots=True)
class LoadFile:
    """One upload's content, and its oracle."""

    body: bytes
    content_type: str
    oracle: Oracle
    pipelines: tuple[str, ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """How files of a kind are made; `make(key, serial)`."""

    extension: str
    about: str
    make: Callable[[Key, int], LoadFile]
    is_picture: bool = True


def make_file(kind: str, key: Key, serial: int) -> LoadFile:
    """The file of `kind` that goes to `key`. The same serial is the same content."""
    return KINDS[kind].make(key, serial)


def with_thumbnail(file: LoadFile, key: Key) -> LoadFile:
    """The same file when its client also asks for the pipeline `thumbnail`."""
    stem, _, extension = key.rpartition(".")
    width, height = _size_of(file)
    scale = min(1.0, THUMBNAIL_SIDE / width, THUMBNAIL_SIDE / height)
    small = f"{max(1, round(width * scale))}x{max(1, round(height * scale))}"
    extra = Expected(f"{stem}_thumbnail.{extension}", "thumbnail", f"image:{small}:*")
    return LoadFile(
        file.body,
        file.content_type,
        file.oracle,
        (*file.pipelines, "thumbnail"),
        (*file.expected, extra),
    )


def _size_of(file: LoadFile) -> tuple[int, int]:
    width, _, height = file.expected[0].verify.split(":")[1].partition("x")
    return int(width), int(height)


def _jpeg(width: int, height: int, quality: int = 85) -> Callable[[Key, int], LoadFile]:
    def make(key: Key, serial: int) -> LoadFile:
        base = _picture(width, height, serial % VARIANTS, "JPEG", quality)
        return _gray(key, _with_comment(base, serial), "image/jpeg", (width, height))

    return make


def _png(width: int, height: int) -> Callable[[Key, int], LoadFile]:
    def make(key: Key, serial: int) -> LoadFile:
        base = _picture(width, height, serial % VARIANTS, "PNG", 0)
        return _gray(key, _with_text_chunk(base, serial), "image/png", (width, height))

    return make


@cache
def _picture(width: int, height: int, variant: int, form: str, quality: int) -> bytes:
    image = ImageOps.fit(photo(NAMES[variant]), (width, height))
    return encoded(image, form, **({"quality": quality} if quality else {}))


def _gray(key: Key, body: bytes, content_type: str, size: tuple[int, int]) -> LoadFile:
    stem, _, extension = key.rpartition(".")
    verify = f"image:{size[0]}x{size[1]}:L"
    expected = Expected(f"{stem}_processed.{extension}", "grayscale", verify)
    return LoadFile(body, content_type, "good", ("grayscale",), (expected,))


def _with_comment(jpeg: bytes, serial: int) -> bytes:
    """A COM segment right after the start of the image (ITU T.81, B.2.4.5)."""
    text = f"marea load {serial:012}".encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


def _with_text_chunk(png: bytes, serial: int) -> bytes:
    """A tEXt chunk right after IHDR (PNG specification, 11.3.3.3)."""
    body = b"tEXt" + b"Comment\0" + f"{serial:012}".encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:33] + chunk + png[33:]


def _broken(_: Key, serial: int) -> LoadFile:
    whole = _with_comment(_picture(400, 300, serial % VARIANTS, "JPEG", 85), serial)
    return LoadFile(whole[: len(whole) // 2], "image/jpeg", "bad", ("grayscale",), ())


@cache
def _rows(count: int) -> str:
    return "".join(f"{n},{n * 7919 % 500},{'paid' if n % 7 else ''}\n" for n in range(count))


def _table(rows: int) -> Callable[[Key, int], LoadFile]:
    def make(key: Key, serial: int) -> LoadFile:
        text = f"id,amount,status\n{rows + serial},{serial % 500},paid\n{_rows(rows)}"
        expected = Expected(f"{key.removesuffix('.csv')}_summary.json", "summary", "json")
        return LoadFile(text.encode(), "text/csv", "good", ("summary",), (expected,))

    return make


def _note(_: Key, serial: int) -> LoadFile:
    return LoadFile(f"No rule takes this: {serial}.\n".encode(), "text/plain", "unrouted", (), ())


KINDS: Mapping[str, Kind] = {
    "tiny": Kind("jpg", "a JPEG of 96 by 64 pixels, some 3 KB: an icon", _jpeg(96, 64)),
    "thumb": Kind("jpg", "a JPEG of 320 by 240 pixels, some 20 KB", _jpeg(320, 240)),
    "photo": Kind("jpg", "a JPEG of 800 by 600 pixels, some 80 KB: a web page's", _jpeg(800, 600)),
    "large": Kind("jpg", "a JPEG of 2400 by 1600 pixels, some 400 KB", _jpeg(2400, 1600)),
    "camera": Kind("jpg", "a JPEG of 12 megapixels, some 800 KB: a telephone", _jpeg(4000, 3000)),
    "png": Kind("png", "a PNG of 320 by 240 pixels: a screenshot's part", _png(320, 240)),
    "table": Kind("csv", "a table of 500 rows, some 6 KB", _table(500), is_picture=False),
    "broken": Kind("jpg", "half a JPEG, which has to be rejected", _broken, is_picture=False),
    "note": Kind("txt", "a text that no rule takes", _note, is_picture=False),
}
