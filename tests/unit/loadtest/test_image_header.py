"""The checker's own header reader against Pillow, which it must not depend on."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from loadtest.image_header import shape_of

SIZES = ((1, 1), (3, 2), (640, 427), (300, 1000))
FORMATS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("PNG", "L", "L", {}),
    ("PNG", "RGB", "RGB", {}),
    ("PNG", "P", "P", {}),
    ("PNG", "LA", "LA", {}),
    ("PNG", "RGBA", "RGBA", {}),
    ("JPEG", "L", "L", {}),
    ("JPEG", "RGB", "RGB", {"progressive": True}),
    ("JPEG", "CMYK", "CMYK", {}),
    ("JPEG", "RGB", "RGB", {"exif": b"Exif\0\0" + b"MM\0*" + b"\0" * 60, "comment": b"x" * 900}),
    ("GIF", "P", "P", {}),
    ("WEBP", "RGB", "RGB", {"quality": 60}),
    ("WEBP", "RGBA", "RGBA", {}),
    ("WEBP", "RGB", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", "RGBA", {"lossless": True}),
    ("AVIF", "RGB", "RGB", {}),
    ("AVIF", "RGBA", "RGBA", {}),
)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("form", "mode", "shown", "options"), FORMATS)
def test_reads_what_pillow_wrote(
    form: str, mode: str, shown: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    picture = Image.new(mode, size)
    if mode.endswith("A"):
        picture.putalpha(100)
    file = io.BytesIO()
    picture.save(file, form, **options)
    assert shape_of(file.getvalue()) == f"image:{size[0]}x{size[1]}:{shown}"


def test_tells_json_from_anything_else() -> None:
    assert shape_of(b'{"rows": 3}') == "json"
    assert shape_of(b"not json") == ""
    assert shape_of(b"\xff\xd8\xff\xe0\x00\x10JFIF") == ""
    assert shape_of(b"") == ""
