"""What the demo uploads: real photographs in many guises, tables, and files that must fail.

Deterministic: the same Pillow makes the same bytes. Every file comes with what an oracle that
has never seen Marea says must become of it; `rules.yaml` beside this file routes it.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from loadtest.demo.hostile import hostile_bodies
from loadtest.history import Expected, Oracle

PHOTOS = Path(__file__).parent / "photos"
NAMES = tuple(sorted(path.stem for path in PHOTOS.glob("*.jpg")))
RULES_FILE = Path(__file__).parent / "rules.yaml"

WEB_WIDTHS = (320, 640, 1280)
ORIENTATION_TAG = 0x0112

_CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "csv": "text/csv",
    "txt": "text/plain",
}


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file to upload. `pipeline` "" = no rule matches it."""

    key: str
    body: bytes = field(repr=False)
    oracle: Oracle
    pipeline: str = ""
    expected: tuple[Expected, ...] = ()
    picture: Image.Image | None = field(default=None, repr=False)
    """How a person sees it: upright, in colour; None if it is no picture."""

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES.get(self.key.rpartition(".")[2].lower(), "application/octet-stream")


@cache
def photo(name: str) -> Image.Image:
    """One of the photographs, decoded, RGB."""
    with Image.open(PHOTOS / f"{name}.jpg") as file:
        return file.convert("RGB")


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The image file's bytes."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def upright(body: bytes) -> Image.Image:
    """The oracle's eyes: the file as a viewer shows it, transparency on white."""
    with Image.open(io.BytesIO(body)) as file:
        image = ImageOps.exif_transpose(file).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    return ground.convert("RGB")


def build_corpus() -> list[CorpusFile]:
    """Every file of the demo, easy ones first. Keys are unique, and so are result keys."""
    return [
        *_photographs(),
        *_formats(),
        *_orientations(),
        *_modes(),
        *_sizes(),
        *_odd_names(),
        *_folders_with_rules(),
        *_tables(),
        *(CorpusFile(key, body, "bad", "grayscale") for key, body in hostile_bodies()),
        CorpusFile("notes/read me.txt", b"No rule matches this file.\n", "unrouted"),
    ]


def _gray(key: str, body: bytes, mode: str = "L") -> CorpusFile:
    picture = upright(body)
    stem, _, extension = key.rpartition(".")
    shape = f"image:{picture.width}x{picture.height}:{mode}"
    result = Expected(f"{stem}_processed.{extension}", "grayscale", shape)
    return CorpusFile(key, body, "good", "grayscale", (result,), picture)


def _photographs() -> Iterator[CorpusFile]:
    for name in NAMES:
        yield _gray(f"photos/{name}.jpg", (PHOTOS / f"{name}.jpg").read_bytes())


def _formats() -> Iterator[CorpusFile]:
    for name in ("cat", "rocket", "hopper", "pagoda"):
        yield _gray(f"formats/{name}.png", encoded(photo(name), "PNG"))
    for name in ("coffee", "dahlia", "raccoon", "stairs"):
        # WebP and AVIF hold no gray mode of their own: equal channels, three of them.
        yield _gray(f"formats/{name}.webp", encoded(photo(name), "WEBP", quality=80), "RGB")
    for name in ("astronaut", "coins", "bricks"):
        body = encoded(photo(name), "AVIF", quality=60, speed=10)
        yield _gray(f"formats/{name}.avif", body, "RGB")
    for name in ("gravel", "retina"):
        small = ImageOps.contain(photo(name), (400, 400))
        yield _gray(f"formats/{name}.gif", encoded(small, "GIF"), "P")


_STORED_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera held in EXIF orientation 2 to 8 stores an upright scene."""


def _orientations() -> Iterator[CorpusFile]:
    for orientation in range(1, 9):
        scene = photo("pagoda")
        turn = _STORED_TURN.get(orientation)
        stored = scene.transpose(turn) if turn is not None else scene
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        body = encoded(stored, "JPEG", quality=85, exif=exif)
        yield _gray(f"orientation/pagoda-{orientation}.jpg", body)


def _modes() -> Iterator[CorpusFile]:
    def with_vignette(name: str) -> Image.Image:
        image = photo(name).convert("RGBA")
        alpha = Image.new("L", image.size, 0)
        ImageDraw.Draw(alpha).ellipse((8, 8, image.width - 8, image.height - 8), fill=255)
        image.putalpha(alpha)
        return image

    yield _gray("modes/rgba.png", encoded(with_vignette("astronaut"), "PNG"), "LA")
    yield _gray("modes/rgba.webp", encoded(with_vignette("coffee"), "WEBP"), "RGBA")
    yield _gray("modes/la.png", encoded(with_vignette("coins").convert("LA"), "PNG"), "LA")
    yield _gray("modes/palette.png", encoded(photo("dahlia").quantize(64), "PNG"))
    yield _gray("modes/bilevel.png", encoded(photo("stairs").convert("1"), "PNG"))
    yield _gray("modes/cmyk.jpg", encoded(photo("cat").convert("CMYK"), "JPEG", quality=85))
    yield _gray("modes/progressive.jpg", encoded(photo("rocket"), "JPEG", progressive=True))


def _sizes() -> Iterator[CorpusFile]:
    for width in (1, 64, 333, 1024, 3000):
        source = photo("raccoon")
        height = max(1, round(source.height * width / source.width))
        body = encoded(source.resize((width, height)), "JPEG", quality=85)
        yield _gray(f"sizes/raccoon-{width}.jpg", body)


def _odd_names() -> Iterator[CorpusFile]:
    keys = (
        "holiday photos/día + noche/日没 in 東京.jpg",
        "odd/a+b=c & 100% sure.jpg",
        "odd/naïve café (1).jpeg",
        "ODD/SHOUTED.JPG",
        "odd/2026.06.01/photo.final.jpg",
    )
    names = ("rocket", "cat", "coffee", "hopper", "dahlia")
    for key, name in zip(keys, names, strict=True):
        yield _gray(key, encoded(ImageOps.contain(photo(name), (480, 480)), "JPEG", quality=80))


def _folders_with_rules() -> Iterator[CorpusFile]:
    for name in ("pagoda", "deep-field", "retina"):
        body = (PHOTOS / f"{name}.jpg").read_bytes()
        picture = photo(name)
        widths = [(asked, min(asked, picture.width)) for asked in WEB_WIDTHS]
        results = [
            Expected(f"web/{name}_web_{asked}.webp", "web", f"image:{width}x*:RGB")
            for asked, width in widths
        ]
        yield CorpusFile(f"web/{name}.jpg", body, "good", "web", tuple(results), picture)
    yield _one("thumbnails/raccoon.jpg", "thumbnail", "jpg", lambda w, h: _fit(w, h, 256))
    yield _one("thumbnails/hopper.jpg", "thumbnail", "jpg", lambda w, h: _fit(w, h, 256))
    yield _one("watermark/coffee.jpg", "watermark", "jpg", lambda w, h: (w, h))
    yield _one("watermark/rocket.jpg", "watermark", "jpg", lambda w, h: (w, h))
    yield _one("avif/dahlia.jpg", "avif", "avif", lambda w, h: (w, h))
    yield _one("avif/astronaut.jpg", "avif", "avif", lambda w, h: (w, h))


def _one(
    key: str, pipeline: str, extension: str, size: Callable[[int, int], tuple[int, int]]
) -> CorpusFile:
    stem = key.rpartition(".")[0]
    name = stem.rpartition("/")[2]
    picture = photo(name)
    width, height = size(*picture.size)
    shape = f"image:{width}x{height}:RGB"
    expected = Expected(f"{stem}_{pipeline}.{extension}", pipeline, shape)
    body = (PHOTOS / f"{name}.jpg").read_bytes()
    return CorpusFile(key, body, "good", pipeline, (expected,), picture)


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / width, side / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _tables() -> Iterator[CorpusFile]:
    chance = random.Random(20260601)
    rows = ["day,station,level_m,ships"]
    for day in range(1, 366):
        for station in ("Cádiz", "Saint-Malo", "Bay of Fundy"):
            level = 4 + 3 * math.sin(day / 14.77 * math.tau) + chance.random()
            rows.append(f"{day},{station},{level:.2f},{chance.randrange(40)}")
    yield _table("tables/tides 2026.csv", "\n".join(rows) + "\n")
    orders = [f"{n},{chance.randrange(1, 500)},{'paid' if n % 7 else ''}" for n in range(2_000)]
    yield _table("tables/orders.csv", "\n".join(["id,amount,status", *orders]) + "\n")


def _table(key: str, text: str) -> CorpusFile:
    result = Expected(f"{key.removesuffix('.csv')}_summary.json", "summary", "json")
    return CorpusFile(key, text.encode(), "good", "summary", (result,))
