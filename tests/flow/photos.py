"""Small photographs to upload."""

from __future__ import annotations

import io

from PIL import Image


def photo(number: int) -> bytes:
    """A JPEG unlike that of any other number."""
    image = Image.new("RGB", (24, 16), (number % 256, 80, number // 256))
    data = io.BytesIO()
    image.save(data, "JPEG")
    return data.getvalue()
