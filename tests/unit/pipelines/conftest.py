"""Builders of files, since no binary file is kept in this repository."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageStat

from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Produced, Source


@pytest.fixture
def make_photo() -> Callable[..., Image.Image]:
    """A smooth picture whose four quarters have different colours, so that any turn shows."""

    def make(width: int = 96, height: int = 64, mode: str = "RGB") -> Image.Image:
        image = Image.new("RGB", (width, height), (200, 40, 40))
        draw = ImageDraw.Draw(image)
        draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=(40, 180, 60))
        draw.rectangle((0, height // 2, width // 2 - 1, height), fill=(40, 60, 200))
        draw.rectangle((width // 2, height // 2, width, height), fill=(230, 220, 90))
        if mode in ("RGBA", "LA"):
            image.putalpha(Image.linear_gradient("L").resize((width, height)))
        if mode == "I;16":
            deep = image.convert("L").convert("I").point(lambda value: value * 257)
            return deep.convert("I;16")
        return image.convert(mode)

    return make


@pytest.fixture
def save_image() -> Callable[..., bytes]:
    """The bytes of an image in a format."""

    def save(image: Image.Image, form: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    return save


@pytest.fixture
def make_png_header() -> Callable[..., bytes]:
    """A PNG that claims a size, 1 bit a pixel, and holds `rows` rows of it at most."""

    def make(width: int, height: int, rows: int = 0, extra: bytes = b"") -> bytes:
        def chunk(name: bytes, content: bytes) -> bytes:
            checksum = zlib.crc32(name + content)
            return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

        header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        pixels = zlib.compress((b"\0" * (1 + (width + 7) // 8)) * rows, 9)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + extra
            + chunk(b"IDAT", pixels)
            + chunk(b"IEND", b"")
        )

    return make


@pytest.fixture
def swapped_profile() -> bytes:
    """An ICC profile whose red and blue primaries are exchanged: what it does is plain to see."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(content[128:132], "big")
    entry = {bytes(content[132 + 12 * i : 136 + 12 * i]): 136 + 12 * i for i in range(count)}
    red, blue = entry[b"rXYZ"], entry[b"bXYZ"]
    content[red : red + 8], content[blue : blue + 8] = (
        content[blue : blue + 8],
        content[red : red + 8],
    )
    return bytes(content).replace(b"s\0R\0G\0B", b"s\0w\0a\0p")


@pytest.fixture
def run_steps() -> Callable[..., Produced]:
    """Run a pipeline of kind images, given as steps and further keys, over bytes."""

    def run(data: bytes, steps: list[Any], key: str = "a/photo.jpg", **keys: Any) -> Produced:
        text = yaml.safe_dump({"pipelines": [{"name": "tried", "steps": steps, **keys}]})
        return load_catalog(text, entry_points=())["tried"].run(Source(data, key))

    return run


@pytest.fixture
def open_artifact() -> Callable[..., Image.Image]:
    """The decoded image of one artifact of a run."""

    def open_it(produced: Produced, number: int = 0) -> Image.Image:
        image = Image.open(io.BytesIO(produced.artifacts[number].data))
        image.load()
        return image

    return open_it


@pytest.fixture
def rejection() -> Callable[..., PermanentError]:
    """The `PermanentError` that a pipeline answers a file with."""

    def reject(data: bytes, key: str = "a/photo.jpg", name: str = "grayscale") -> PermanentError:
        with pytest.raises(PermanentError) as caught:
            load_catalog(entry_points=())[name].run(Source(data, key))
        return caught.value

    return reject


@pytest.fixture
def distance() -> Callable[[Image.Image, Image.Image], float]:
    """Mean difference of two pictures of one size, 0 to 255."""

    def measure(first: Image.Image, second: Image.Image) -> float:
        assert first.size == second.size
        difference = ImageChops.difference(first.convert("RGB"), second.convert("RGB"))
        return max(ImageStat.Stat(difference).mean)

    return measure
