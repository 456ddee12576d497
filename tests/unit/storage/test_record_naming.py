"""Names of records: safe on every store, unique per job, in the order of the source keys."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marea.storage.naming import (
    intent_key,
    intents_prefix,
    parse_record_key,
    record_key,
    record_stem,
    records_prefix,
    stem_of_record,
)

JOB = "0123456789abcdef0123456789abcdef"
OTHER_JOB = "f" * 32
BASE = records_prefix(".marea/", "uploads")
LONGEST_PIPELINE = "p" * 40

HOSTILE_PIECES = st.sampled_from(
    [
        *("", "/", "//", ".", "..", "/.", "/../", " ", "\\", "\0", "\n", "\x7f", "\x85", "!", "a"),
        *("xl.meta", ".minio.sys", "d__XLDIR__", "\ufffe", "\U0010ffff", "\ud800", "é", "日本"),
        *("x" * 169, "y" * 251, "é" * 130, "\U0001f600" * 70, "s" * 200 + "/", f"!im.{JOB}"),
    ]
)
HOSTILE_KEYS = st.one_of(
    st.text(max_size=60),
    st.lists(HOSTILE_PIECES, max_size=12).map("".join),
    st.text(alphabet="ab/.!", max_size=12),
)


def name_of(key: str, pipeline: str = "im", job_id: str = JOB) -> str:
    return record_key(".marea/", "uploads", key, pipeline, job_id)


@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("photo.jpg", "photo.jpg"),
        ("a/b c/photo.jpg", "a/b c/photo.jpg"),
        ("folder/", "folder/"),
        ("", ""),
        ("/photo.jpg", ""),
        ("a//photo.jpg", "a/"),
        ("a/./b", "a/."),
        ("a/../b", "a/.."),
        ("a/ .. /b", "a/ .. "),
        ("a/..", "a/.."),
        ("a\\b", "a"),
        ("a/b\nc/d", "a/b"),
        ("xl.meta", "xl.meta"),
        ("a/xl.meta/b", "a/xl.meta"),
        ("d__XLDIR__/b", "d__XLDIR__"),
        ("bad-\ud800", "bad-"),
        ("x" * 300, "x" * 170),
        ("x" * 250 + "/y", "x" * 250 + "/y"),
        ("x" * 251 + "/y", "x" * 170),
        ("é" * 100, "é" * 85),
        ("aé" + "é" * 100, "a" + "é" * 84),
        (f"photo!im.{JOB}/x", f"photo!im.{JOB}"),
        ("s/" * 349 + "end", "s/" * 349 + "en"),
    ],
)
def test_a_stem_is_the_longest_safe_beginning_of_its_key(key: str, stem: str) -> None:
    assert record_stem(BASE, key) == stem
    assert name_of(key) == f".marea/records/uploads/{stem}!im.{JOB}"


@given(key=HOSTILE_KEYS)
@example(key="s/" * 500)
@example(key=("s" * 249 + "/") * 4)
def test_every_record_has_a_name_that_every_store_takes(key: str) -> None:
    longest_bucket = "b" * 63
    name = record_key("r" * 149 + "/", longest_bucket, key, LONGEST_PIPELINE, JOB)
    assert len(name.encode("utf-8")) <= 1000
    for segment in name.split("/"):
        assert segment.strip() not in ("", ".", "..")
        assert len(segment.encode()) <= 250
        assert segment not in ("xl.meta", ".minio.sys")
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in name)
    assert not any(ord(char) & 0xFFFE == 0xFFFE for char in name)
    assert "\\" not in name


@given(key=HOSTILE_KEYS)
def test_no_record_lies_below_another_record(key: str) -> None:
    folders = name_of(key).split("/")[:-1]
    assert not any(re.search(r"![a-z0-9-]+\.[0-9a-f]{32}$", folder) for folder in folders)
    assert not any(folder.endswith("__XLDIR__") for folder in folders)


@given(key=HOSTILE_KEYS, other=HOSTILE_KEYS)
def test_jobs_never_share_a_record(key: str, other: str) -> None:
    assert name_of(key, "im", JOB) != name_of(other, "im", OTHER_JOB)


@given(key=HOSTILE_KEYS, pipeline=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
def test_a_records_name_tells_its_pipeline_job_and_stem(key: str, pipeline: str) -> None:
    name = name_of(key, pipeline)
    assert parse_record_key(name) == (pipeline, JOB)
    assert stem_of_record(BASE, name) == record_stem(BASE, key)


@given(key=HOSTILE_KEYS)
def test_a_stem_is_a_prefix_of_its_key(key: str) -> None:
    stem = record_stem(BASE, key)
    assert key.startswith(stem)
    assert name_of(key).startswith(BASE + stem)
    assert record_stem(BASE, stem) == stem


@given(key=HOSTILE_KEYS, other=HOSTILE_KEYS)
def test_records_are_in_the_order_of_their_keys_unless_one_stem_begins_the_other(
    key: str, other: str
) -> None:
    key, other = sorted((key, other))
    first, second = record_stem(BASE, key), record_stem(BASE, other)
    if not (first.startswith(second) or second.startswith(first)):
        assert name_of(key).encode() < name_of(other).encode()


def test_records_of_a_key_come_before_those_of_keys_that_go_on_from_it() -> None:
    keys = [
        "photos",
        "photos-2024/x",
        "photos.zip",
        "photos/1.jpg",
        "photos0",
        "photosé",
    ]
    names = [name_of(key) for key in keys]
    assert names == sorted(names, key=str.encode)


@pytest.mark.parametrize(
    "name",
    [
        ".marea/probe",
        "records/a.jpg",
        f"a!im.{JOB[:-1]}",
        f"a!im.{JOB}0",
        f"a!im.{JOB}/",
        f"a!IM.{JOB}",
        f"a!.{JOB}",
        f"a!{'p' * 41}.{JOB}",
        f"a!im.{JOB}\n",
    ],
)
def test_other_names_are_not_records(name: str) -> None:
    assert parse_record_key(name) is None
    assert stem_of_record("", name) is None


def test_a_record_elsewhere_has_no_stem_here() -> None:
    assert stem_of_record(BASE, f".marea/records/other/a!im.{JOB}") is None


@pytest.mark.parametrize(("pipeline", "job_id"), [("Im", JOB), ("", JOB), ("im", "x" * 32)])
def test_refuses_to_name_what_it_could_not_read_back(pipeline: str, job_id: str) -> None:
    with pytest.raises(ValueError, match="not a pipeline and a job id"):
        name_of("k", pipeline, job_id)


def test_an_intent_is_named_by_its_job() -> None:
    assert intent_key(".marea/", JOB) == f".marea/intents/{JOB}"
    assert intents_prefix(".marea/") == ".marea/intents/"
    with pytest.raises(ValueError, match="not a job id"):
        intent_key(".marea/", "../x")
