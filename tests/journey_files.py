"""What a journey uploads: small files of every kind, each with what must become of it.

Endless and seeded: the n-th file of a seed is always the same one. `loadtest/demo/rules.yaml`
routes them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from PIL import Image

from loadtest.demo.corpus import CorpusFile, encoded
from loadtest.history import Expected

HOT_KEYS = ("hot/harbour.jpg", "hot/quay.jpg", "hot/pier.jpg")
"""Overwritten again and again; each content has another size, so that the newest shows."""


def journey_files(seed: int) -> Iterator[CorpusFile]:
    """Plain images, overwrites, tables and bad files, which take some 20 ms each; and one in
    six with several outputs, which takes 400 ms, so that a kill finds jobs under way."""
    chance = random.Random(seed)
    makers = (*[_image] * 3, *[_hot] * 3, *[_web] * 2, _table, _table, _bad, _unrouted)
    number = 0
    while True:
        number += 1
        yield chance.choice(makers)(number, chance)


def _picture(number: int, chance: random.Random) -> Image.Image:
    """Small, and of a size and colours that tell one number from the next."""
    size = (32 + number % 199, 24 + chance.randrange(60))
    ramp = Image.linear_gradient("L").resize(size)
    flat = Image.new("L", size, chance.randrange(256))
    return Image.merge("RGB", (ramp, flat, ramp.transpose(Image.Transpose.ROTATE_180)))


def _gray(key: str, picture: Image.Image) -> CorpusFile:
    shape = f"image:{picture.width}x{picture.height}:L"
    expected = Expected(key.replace(".jpg", "_processed.jpg"), "grayscale", shape)
    return CorpusFile(key, encoded(picture, "JPEG", quality=80), "good", "grayscale", (expected,))


def _image(number: int, chance: random.Random) -> CorpusFile:
    return _gray(f"photos/{number:05}.jpg", _picture(number, chance))


def _hot(number: int, chance: random.Random) -> CorpusFile:
    return _gray(chance.choice(HOT_KEYS), _picture(number, chance))


def _web(number: int, chance: random.Random) -> CorpusFile:
    picture = _noise().copy()
    picture.paste(_picture(number, chance))
    expected = tuple(
        Expected(f"web/{number:05}_web_{asked}.webp", "web", f"image:{width}x*:RGB")
        for asked, width in ((320, 320), (640, 640), (1280, picture.width))
    )
    return CorpusFile(f"web/{number:05}.jpg", encoded(picture, "JPEG"), "good", "web", expected)


@cache
def _noise() -> Image.Image:
    """Hard to encode."""
    plane = Image.effect_noise((800, 600), 60)
    return Image.merge("RGB", (plane, plane.transpose(Image.Transpose.ROTATE_180), plane))


def _table(number: int, chance: random.Random) -> CorpusFile:
    rows = "".join(f"{n},{chance.randrange(900)}\n" for n in range(20))
    expected = Expected(f"tables/{number:05}_summary.json", "summary", "json")
    body = f"day,level\n{rows}".encode()
    return CorpusFile(f"tables/{number:05}.csv", body, "good", "summary", (expected,))


def _bad(number: int, chance: random.Random) -> CorpusFile:
    whole = encoded(_picture(number, chance), "JPEG")
    body = chance.choice((whole[: len(whole) // 2], b"not an image %d" % number, b""))
    return CorpusFile(f"bad/{number:05}.jpg", body, "bad", "grayscale")


def _unrouted(number: int, _chance: random.Random) -> CorpusFile:
    return CorpusFile(f"notes/{number:05}.txt", b"note %d" % number, "unrouted")
