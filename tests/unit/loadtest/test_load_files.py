"""Files of a load: what each is, and that its oracle is what the built-in pipelines do."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from loadtest.files import KINDS, THUMBNAIL_SIDE, make_file, with_thumbnail
from loadtest.image_header import shape_of
from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source

PICTURES = sorted(name for name, kind in KINDS.items() if kind.is_picture)
# The 12 megapixels of `camera` take a second through each pipeline, and are no other code.
SMALL_PICTURES = [name for name in PICTURES if name != "camera"]
CHEAP = sorted(set(KINDS) - {"camera", "large"})


def key_of(kind: str) -> str:
    return f"load/0001/{kind}-000007.{KINDS[kind].extension}"


def wanted_size(verify: str) -> str:
    return verify.split(":")[1]


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_has_the_size_that_its_result_must_have(kind: str) -> None:
    file = make_file(kind, key_of(kind), 7)
    (expected,) = file.expected
    assert shape_of(file.body).split(":")[1] == wanted_size(expected.verify)
    with Image.open(io.BytesIO(file.body)) as image:
        assert f"{image.width}x{image.height}" == wanted_size(expected.verify)
        assert Image.MIME[str(image.format)] == file.content_type


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(CHEAP), serial=st.integers(0, 10**9))
def test_one_serial_is_one_content(kind: str, serial: int) -> None:
    assert make_file(kind, key_of(kind), serial) == make_file(kind, key_of(kind), serial)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(CHEAP),
    serials=st.lists(st.integers(0, 10**9), min_size=2, max_size=2, unique=True),
)
def test_another_serial_is_another_content(kind: str, serials: list[int]) -> None:
    first, second = (make_file(kind, key_of(kind), serial).body for serial in serials)
    assert first != second


@pytest.mark.parametrize("kind", [*SMALL_PICTURES, "table"])
def test_the_rules_own_pipeline_makes_of_a_file_what_is_expected(kind: str) -> None:
    file = make_file(kind, key_of(kind), 7)
    (expected,) = file.expected
    assert file.oracle == "good"
    assert file.pipelines == (expected.pipeline,)
    pipeline = load_catalog(entry_points=())[expected.pipeline]
    (made,) = pipeline.run(Source(file.body, key_of(kind), file.content_type)).artifacts
    assert made.key == expected.key
    assert shape_of(made.data) == expected.verify


@pytest.mark.parametrize("kind", SMALL_PICTURES)
def test_the_thumbnail_that_a_client_asks_for_has_the_expected_size(kind: str) -> None:
    file = with_thumbnail(make_file(kind, key_of(kind), 3), key_of(kind))
    assert file.pipelines == ("grayscale", "thumbnail")
    expected = file.expected[1]
    pipeline = load_catalog(entry_points=())["thumbnail"]
    (made,) = pipeline.run(Source(file.body, key_of(kind), file.content_type)).artifacts
    assert made.key == expected.key
    assert wanted_size(shape_of(made.data)) == wanted_size(expected.verify)
    assert max(made.width_px or 0, made.height_px or 0) <= THUMBNAIL_SIDE


def test_a_broken_file_does_not_decode_and_is_rejected() -> None:
    file = make_file("broken", key_of("broken"), 7)
    assert (file.oracle, file.expected, file.pipelines) == ("bad", (), ("grayscale",))
    with pytest.raises(OSError, match="truncated"), Image.open(io.BytesIO(file.body)) as image:
        image.load()
    with pytest.raises(PermanentError):
        load_catalog(entry_points=())["grayscale"].run(Source(file.body, key_of("broken")))


@pytest.mark.parametrize("serial", [0, 1, 999_999_999_999])
def test_a_png_with_its_serial_has_sound_checksums(serial: int) -> None:
    file = make_file("png", key_of("png"), serial)
    with Image.open(io.BytesIO(file.body)) as image:
        image.verify()
    with Image.open(io.BytesIO(file.body)) as image:
        image.load()
        assert image.info["Comment"] == f"{serial:012}"


def test_a_jpeg_carries_its_serial_as_a_comment() -> None:
    with Image.open(io.BytesIO(make_file("tiny", key_of("tiny"), 42).body)) as image:
        image.load()
        assert image.info["comment"] == b"marea load 000000000042"


def test_a_table_has_one_row_more_than_its_rows_for_the_serial() -> None:
    rows = list(csv.DictReader(io.StringIO(make_file("table", "a/t.csv", 42).body.decode())))
    assert len(rows) == 501
    assert list(rows[0]) == ["id", "amount", "status"]
    assert rows[0]["id"] == "542"
    assert all(row["amount"].isdigit() for row in rows)
    assert len({row["id"] for row in rows}) == 501


def test_a_note_is_nobodys() -> None:
    file = make_file("note", key_of("note"), 1)
    assert (file.oracle, file.pipelines, file.expected) == ("unrouted", (), ())
    assert shape_of(file.body) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_what_it_is(kind: str) -> None:
    assert KINDS[kind].about
