"""BlurHash, the placeholder of about 30 characters that a page shows while an image loads.

An own implementation of the published algorithm (a two-dimensional cosine transform of linear
light, quantised into base 83), over at most 32 x 32 pixels: the hash has no finer detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import copysign, cos, pi

from PIL import Image

from marea.pipelines.images.picture import Picture

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_SAMPLE_SIDE_PX = 32

Colour = tuple[float, float, float]


def blurhash(picture: Picture, *, columns: int, rows: int) -> Picture:
    """Notes the hash of the first frame, transparency laid on white."""
    frame = picture.frames[0]
    side = (min(frame.width, _SAMPLE_SIDE_PX), min(frame.height, _SAMPLE_SIDE_PX))
    sample = frame.resize(side, Image.Resampling.BOX).convert("RGBA")
    ground = Image.new("RGBA", side, "white")
    ground.alpha_composite(sample)
    text = encode_blurhash(ground.convert("RGB"), columns, rows)
    return replace(picture, notes={**picture.notes, "blurhash": text})


def encode_blurhash(image: Image.Image, columns: int = 4, rows: int = 3) -> str:
    """The hash of an RGB image with 1 to 9 components each way."""
    linear = [_to_linear(value) for value in range(256)]
    content = image.tobytes()
    width, height = image.size
    # The transform is separable: first along the rows, then down the columns.
    across = [
        [
            _weighted_sum(
                [linear[value] for value in content[y * width * 3 + c : (y + 1) * width * 3 : 3]],
                waves,
            )
            for y in range(height)
        ]
        for waves in (_wave(column, width) for column in range(columns))
        for c in range(3)
    ]
    factors: list[Colour] = []
    for row in range(rows):
        waves = _wave(row, height)
        for column in range(columns):
            weight = (1 if row == column == 0 else 2) / (width * height)
            red, green, blue = (
                weight * _weighted_sum(across[column * 3 + c], waves) for c in range(3)
            )
            factors.append((red, green, blue))
    average, details = factors[0], factors[1:]
    text = _base83((columns - 1) + (rows - 1) * 9, 1)
    strongest = max((abs(value) for factor in details for value in factor), default=0.0)
    level = max(0, min(82, int(strongest * 166 - 0.5))) if details else 0
    red8, green8, blue8 = (_to_srgb(value) for value in average)
    text += _base83(level, 1) + _base83(red8 << 16 | green8 << 8 | blue8, 4)
    for factor in details:
        r, g, b = (_quantised(value * 166 / (level + 1)) for value in factor)
        text += _base83((r * 19 + g) * 19 + b, 2)
    return text


def _wave(component: int, length: int) -> list[float]:
    return [cos(pi * component * place / length) for place in range(length)]


def _weighted_sum(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True))


def _quantised(value: float) -> int:
    root = copysign(abs(value) ** 0.5, value)
    return max(0, min(18, int(root * 9 + 9.5)))


def _to_linear(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _to_srgb(value: float) -> int:
    share = max(0.0, min(1.0, value))
    curve = share * 12.92 if share <= 0.0031308 else 1.055 * share ** (1 / 2.4) - 0.055
    return int(curve * 255 + 0.5)


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**place % 83] for place in reversed(range(length)))
