from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from marea.pipelines.images.blurhash import encode_blurhash

Pixel = Callable[[int, int], tuple[int, int, int]]


def drawn(width: int, height: int, pixel: Pixel) -> Image.Image:
    image = Image.new("RGB", (width, height))
    image.putdata([pixel(x, y) for y in range(height) for x in range(width)])
    return image


# Published hashes of the same generated pixels: the gradient by go-blurhash, the others by npm's
# blurhash 2.0.5 (which scales by the largest factor, not by the largest magnitude as C, Go and
# this do, so only pictures where both are one are taken from it).
@pytest.mark.parametrize(
    ("width", "height", "pixel", "columns", "rows", "expected"),
    [
        (4, 4, lambda x, y: (0, 0, 0), 4, 3, "L00000fQfQfQfQfQfQfQfQfQfQfQ"),
        (4, 4, lambda x, y: (255, 255, 255), 4, 3, "L~TSUA~qfQ~q~q%MfQ%MfQfQfQfQ"),
        (8, 8, lambda x, y: (200, 255, 60), 4, 3, "LfN39P?:fQ?:?:oxfQoxfQfQfQfQ"),
        (
            16,
            16,
            lambda x, y: (255, 0, 0) if ((x >> 2) + (y >> 2)) % 2 else (0, 0, 255),
            4,
            3,
            "LLLjfL,efQ,e,eFPfQ2NfQfQfQfQ",
        ),
        (
            8,
            6,
            lambda x, y: ((x + 8 * y) * 5, 255 - (x + 8 * y) * 5, (x + 8 * y) * 3),
            5,
            2,
            "D|G9x}k-X5tPX5HJXhj@XOj@",
        ),
        (5, 7, lambda x, y: (x * 50, y * 30, 200), 1, 1, "00Ee,D"),
    ],
    ids=["black", "white", "lime", "checker", "gradient", "1x1"],
)
def test_hashes_as_the_reference_does(
    width: int, height: int, pixel: Pixel, columns: int, rows: int, expected: str
) -> None:
    assert encode_blurhash(drawn(width, height, pixel), columns, rows) == expected
