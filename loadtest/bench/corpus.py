"""The pictures that are measured with: made from a seed, so every run has the same.

Gradients, shapes and noise, mixed so that a JPEG of quality 85 takes about as many bytes per
pixel as a camera's (0.25 to 0.4); the PNGs are graphics with alpha. A few originals of each
kind stand under many names: no contender remembers a body.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from random import Random

from PIL import Image, ImageDraw, ImageFilter

SEED = 20
QUALITY = 85
NOISE = 0.32
"""Part of the noise in a photo; found by trying, for 0.3 bytes per pixel."""
TAIL = 10
"""One upload in so many comes last and is of the commonest kind: with a big one at the very end
one process would idle, and its luck would be measured."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One upload."""

    name: str
    body: bytes
    size: tuple[int, int]
    """Width and height in pixels."""
    has_alpha: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """`share` of all uploads, as `originals` different files."""

    suffix: str
    size: tuple[int, int]
    share: float
    originals: int


KINDS = (
    Kind("jpg", (1600, 1200), 0.70, 4),
    Kind("jpg", (3000, 2000), 0.12, 2),
    Kind("jpg", (6000, 4000), 0.06, 1),
    Kind("png", (1280, 960), 0.08, 1),
    Kind("png", (1600, 1200), 0.04, 1),
)


def build_corpus(count: int) -> list[Picture]:
    """`count` pictures (at least one of each kind), in an order of their own."""
    random = Random(SEED)
    shares = [max(1, round(kind.share * count)) for kind in KINDS]
    shares[0] = max(1, count - sum(shares[1:]))
    bodies: list[tuple[Kind, bytes]] = []
    for kind, share in zip(KINDS, shares, strict=True):
        draw = draw_photo if kind.suffix == "jpg" else draw_graphic
        originals = [draw(kind.size, random) for _ in range(min(kind.originals, share))]
        bodies += [(kind, originals[index % len(originals)]) for index in range(share)]
    tail = [bodies.pop(0) for _ in range(count // TAIL)]
    random.shuffle(bodies)
    bodies += tail
    return [
        Picture(f"{index:04}.{kind.suffix}", body, kind.size, kind.suffix == "png")
        for index, (kind, body) in enumerate(bodies)
    ]


def draw_photo(size: tuple[int, int], random: Random) -> bytes:
    """A JPEG as a camera writes it: 4:2:0, baseline."""
    scene = Image.merge("RGB", [_gradient(size, random) for _ in range(3)])
    _draw_shapes(scene, random, 60)
    width, height = size
    grain = Image.frombytes("L", size, random.randbytes(width * height))
    grain = grain.filter(ImageFilter.GaussianBlur(0.7))
    photo = Image.blend(scene, Image.merge("RGB", [grain] * 3), NOISE)
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def draw_graphic(size: tuple[int, int], random: Random) -> bytes:
    """An RGBA PNG: shapes on a gradient, a grained quarter, fading out."""
    scene = Image.merge("RGB", [_gradient(size, random) for _ in range(3)])
    _draw_shapes(scene, random, 120)
    width, height = size[0] // 2, size[1] // 2
    grain = Image.frombytes("L", (width, height), random.randbytes(width * height))
    corner = Image.blend(
        scene.crop((0, 0, width, height)), Image.merge("RGB", [grain] * 3), NOISE / 5
    )
    scene.paste(corner)
    scene.putalpha(_gradient(size, random))
    buffer = BytesIO()
    scene.save(buffer, "PNG")
    return buffer.getvalue()


def _gradient(size: tuple[int, int], random: Random) -> Image.Image:
    gradient = Image.linear_gradient("L").rotate(random.choice((0, 90, 180, 270)))
    return gradient.resize(size, Image.Resampling.BILINEAR)


def _draw_shapes(scene: Image.Image, random: Random, count: int) -> None:
    draw = ImageDraw.Draw(scene)
    width, height = scene.size
    for _ in range(count):
        x, y = random.randrange(width), random.randrange(height)
        reach = random.randrange(height // 40, height // 6)
        colour = (random.randrange(256), random.randrange(256), random.randrange(256))
        shape = random.choice((draw.ellipse, draw.rectangle))
        shape((x - reach, y - reach, x + reach, y + reach // 2), fill=colour)
