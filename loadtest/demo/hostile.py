"""Files that pretend to be photographs. Each must end rejected, and quickly."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

BOMB_SIDE_PX = 50_000

_PHOTO = Path(__file__).parent / "photos" / "rocket.jpg"


def hostile_bodies() -> Iterator[tuple[str, bytes]]:
    """Key and body of each."""
    photo = _PHOTO.read_bytes()
    noise = random.Random(7).randbytes(20_000)
    yield "hostile/corrupt.jpg", photo[:200] + noise
    yield "hostile/truncated.jpg", photo[: len(photo) * 6 // 10]
    yield "hostile/bomb.png", decompression_bomb()
    yield "hostile/shopping list.jpg", b"milk, eggs, flour\nnot a photograph at all\n"
    yield "hostile/page.png", b"<!doctype html><title>an HTML page named .png</title>"
    yield "hostile/empty.jpg", b""


def decompression_bomb() -> bytes:
    """A valid 1-bit PNG of 50,000 x 50,000 black pixels: 0.3 MB that unpack to 312 MB."""
    rows = b"\0" * (1 + BOMB_SIDE_PX // 8) * 500
    repeats = BOMB_SIDE_PX // 500
    # A fully flushed piece of a deflate stream can be repeated as it is: 500 rows are packed
    # once, not all of the 312 MB.
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 1
    for _ in range(repeats):
        checksum = zlib.adler32(rows, checksum)
    data = b"\x78\xda" + piece * repeats + packer.flush() + struct.pack(">I", checksum)
    header = struct.pack(">IIBBBBB", BOMB_SIDE_PX, BOMB_SIDE_PX, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
