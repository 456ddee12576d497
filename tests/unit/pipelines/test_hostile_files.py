"""Whatever arrives, a pipeline answers with artifacts or with a `PermanentError`."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.guards import image_format
from marea.pipelines.pipeline import Source

CATALOG = load_catalog(entry_points=())
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP"]
MAGICS = [
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    b"GIF89a",
    b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    b"RIFF\x24\x00\x00\x00WEBPVP8X\n\x00\x00\x00",
    b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1avifmiaf",
    b"II*\x00\x08\x00\x00\x00",
    b"MM\x00*\x00\x00\x00\x08",
    b"BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00",
]


def outcome(data: bytes, name: str = "grayscale", key: str = "a/photo.jpg") -> str:
    """`ok` or the code; any other exception fails the test."""
    try:
        CATALOG[name].run(Source(data, key))
    except PermanentError as error:
        return error.code
    return "ok"


def test_an_empty_file_says_that_the_transfer_may_have_been_cut_off(rejection) -> None:
    assert rejection(b"").code == "file-empty"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Dear Sir or Madam,\n", "plain text"),
        ("Grüße\n".encode() * 500, "plain text"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', "an SVG drawing"),
        (b"<svg width='1'>", "an SVG drawing"),
        (b"<!DOCTYPE html><svg>", "an HTML page"),
        (b"<?xml version='1.0'?><a/>", "an XML document"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x1f\x8b\x08rest", "a gzip archive"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "a HEIC image"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00mp41", "an MP4"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "an audio or video file"),
        (b"SIMPLE  =                    T", "a FITS image"),
        (b"8BPS\x00\x01", "a Photoshop document"),
        (b"\xff\xfeh\x00i\x00", "UTF-16 text"),
        (b"\x00\x01\x02\x03", "an unknown binary file"),
        (b"\x81\x82\x83 abc def", "an unknown binary file"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(rejection, data: bytes, words: str) -> None:
    error = rejection(data, key="a/photo.jpg")
    assert error.code == "unsupported-format"
    assert f"looks like {words}" in str(error)


def test_a_file_above_the_byte_limit_is_not_looked_at(rejection) -> None:
    error = rejection(b"x" * (CATALOG["grayscale"].max_bytes + 1))
    assert error.code == "file-too-large"
    assert "67,108,864" in str(error)


def test_a_picture_of_2500_megapixels_in_few_bytes_is_refused_by_its_header(
    rejection, make_png_header
) -> None:
    error = rejection(make_png_header(50_000, 50_000, rows=500))
    assert error.code == "image-too-large"
    assert "50,000 x 50,000 pixels, 2,500.0 megapixels, and the limit is 64.0" in str(error)


def big_headers() -> list[bytes]:
    """Each claims tens of thousands of pixels a side."""
    side = 60_000
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", side, side) + b"\x03" + b"\0" * 40
    vp8x = b"VP8X\n\0\0\0\0\0\0\0" + struct.pack("<I", side)[:3] + struct.pack("<I", side)[:3]
    bmp = b"BM" + b"\0" * 8 + b"\x36\0\0\0\x28\0\0\0" + struct.pack("<iiHH", side, -side, 1, 24)
    tiff = b"II*\0\x08\0\0\0\x04\0" + b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in ((256, side), (257, side), (258, 8), (273, 8))
    )
    return [
        jpeg,
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + b"\0" * 20,
        b"RIFF\x40\0\0\0WEBP" + vp8x + b"\0" * 40,
        bmp + b"\0" * 40,
        tiff + b"\0\0\0\0",
    ]


@pytest.mark.parametrize("data", big_headers(), ids=["jpeg", "gif", "webp", "bmp", "tiff"])
def test_a_header_with_a_giant_size_is_refused_in_every_format(data: bytes) -> None:
    assert outcome(data) == "image-too-large"


def test_the_limit_itself_is_still_allowed(run_steps, make_png_header) -> None:
    data = make_png_header(1000, 1000, rows=1000)
    assert run_steps(data, [], key="a.png", limits={"max_pixels": 1_000_000}).artifacts
    with pytest.raises(PermanentError) as caught:
        run_steps(data, [], key="a.png", limits={"max_pixels": 999_999})
    assert caught.value.code == "image-too-large"


def test_a_png_text_chunk_that_inflates_without_end_is_a_bomb(rejection, make_png_header) -> None:
    packed = b"Comment\0\0" + zlib.compress(b"a" * 20_000_000, 9)
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    assert rejection(make_png_header(8, 8, 8, extra=chunk)).code == "decompression-bomb"


def test_too_many_frames_are_refused_where_all_are_wanted(run_steps, save_image) -> None:
    frames = [Image.new("L", (4, 4), shade * 9) for shade in range(20)]
    data = save_image(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    assert run_steps(data, [], key="a.gif", limits={"max_frames": 3}).artifacts
    with pytest.raises(PermanentError) as caught:
        run_steps(data, [], key="a.gif", animation="all", limits={"max_frames": 19})
    assert caught.value.code == "too-many-frames"
    with pytest.raises(PermanentError) as caught:
        run_steps(data, [], key="a.gif", animation="all", limits={"max_pixels": 319})
    assert caught.value.code == "image-too-large"
    assert "x 20 frames" in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_cut_off_anywhere_is_ok_or_rejected(make_photo, save_image, form: str) -> None:
    data = save_image(make_photo(200, 150), form)
    seen = {outcome(data[: len(data) * percent // 100]) for percent in range(0, 100, 5)}
    assert seen <= {"ok", "file-empty", "unsupported-format", "image-truncated", "image-corrupt"}
    assert outcome(data[: len(data) // 2]) in ("image-truncated", "image-corrupt")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
def test_half_a_file_is_called_truncated(rejection, make_photo, save_image, form: str) -> None:
    data = save_image(make_photo(200, 150), form)
    error = rejection(data[: len(data) // 2])
    assert error.code == "image-truncated"
    assert "upload it again" in str(error)


@pytest.mark.parametrize("form", FORMATS)
def test_flipped_bytes_never_crash(make_photo, save_image, form: str) -> None:
    data = save_image(make_photo(40, 30), form)
    chance = random.Random(20)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        outcome(bytes(broken), name="thumbnail")


@given(st.sampled_from(MAGICS), st.binary(max_size=300))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_bytes_behind_any_magic_never_crash(magic: bytes, rest: bytes) -> None:
    assert outcome(magic + rest) != "marea-error"


@given(st.binary(max_size=64))
@settings(deadline=None)
def test_random_bytes_get_a_format_or_a_reason(data: bytes) -> None:
    try:
        answer = image_format(data)
    except PermanentError as error:
        answer = error.code
    assert answer in (*FORMATS, "file-empty", "unsupported-format")


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_random_bytes_as_a_table_never_crash(data: bytes) -> None:
    outcome(data, name="summary", key="t/x.csv")


def test_memory_that_runs_out_is_a_rejection(monkeypatch, run_steps, tmp_path, save_image) -> None:
    (tmp_path / "hungry.py").write_text("def eat(image):\n    raise MemoryError\n")
    monkeypatch.syspath_prepend(tmp_path)
    data = save_image(Image.new("L", (4, 4)), "PNG")
    with pytest.raises(PermanentError, match="ran out of memory") as caught:
        run_steps(data, [{"python": "hungry:eat"}])
    assert caught.value.code == "out-of-memory"


def test_a_step_that_fails_is_named_and_not_retried(
    monkeypatch, run_steps, tmp_path, save_image
) -> None:
    (tmp_path / "failing.py").write_text(
        "def divide(image):\n    return 1 / 0\ndef forget(image):\n    image.load()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = save_image(Image.new("L", (4, 4)), "PNG")
    with pytest.raises(PermanentError, match="'python:failing:divide'") as caught:
        run_steps(data, [{"python": "failing:divide"}])
    assert caught.value.code == "step-failed"
    with pytest.raises(PermanentError, match="returned NoneType, not an Image"):
        run_steps(data, [{"python": "failing:forget"}])


def test_the_workers_time_limit_passes_through_a_step(
    monkeypatch, run_steps, tmp_path, save_image
) -> None:
    (tmp_path / "slow.py").write_text(
        "from celery.exceptions import SoftTimeLimitExceeded\n"
        "def wait(image):\n    raise SoftTimeLimitExceeded()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SoftTimeLimitExceeded):
        run_steps(save_image(Image.new("L", (4, 4)), "PNG"), [{"python": "slow:wait"}])


def test_the_workers_time_limit_passes_through_the_decoder(
    monkeypatch, run_steps, save_image
) -> None:
    def run_out(*_: object) -> None:
        raise SoftTimeLimitExceeded

    data = save_image(Image.new("L", (4, 4)), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", run_out)
    with pytest.raises(SoftTimeLimitExceeded):
        run_steps(data, [])
