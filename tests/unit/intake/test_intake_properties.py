"""Whatever arrives, parsing ends in events or in `MalformedEvent`; and no key is bent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marea.intake.bounded_json import MalformedJson, is_deeper_than, parse_json
from marea.intake.s3_notification import MalformedEvent, Parsed, parse_notification

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(
    lambda key: len(key.encode()) <= 1024
)
TRICKY_KEYS = (
    "a+b.jpg",
    "a%2Fb.jpg",
    "a//b.jpg",
    "/leading",
    "line\nbreak.jpg",
    "100%.jpg",
    "日本語 ñ.png",
    "👩‍🚀.png",
    "é" * 512,
    " ",
    "a&b=c?d#e.jpg",
)


def record(source: str, encoded_key: str) -> dict[str, Any]:
    return {
        "eventSource": source,
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "uploads"},
            "object": {"key": encoded_key, "size": 1, "eTag": "e", "sequencer": "1"},
        },
    }


def aws_key(key: str) -> str:
    return quote(key, safe="/").replace("%20", "+")  # slashes stay


WRAPPERS: dict[str, Callable[[str], Any]] = {
    # MinIO: Go's url.QueryEscape, slashes too.
    "minio": lambda key: {"Key": key, "Records": [record("minio:s3", quote_plus(key))]},
    "aws": lambda key: {"Records": [record("aws:s3", aws_key(key))]},
    "ceph": lambda key: {"Records": [record("ceph:s3", key)]},
    "rustfs": lambda key: {"Records": [record("rustfs:s3", quote_plus(key))]},
    "eventbridge": lambda key: {
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "uploads"}, "object": {"key": key, "etag": "e"}},
    },
    "sns": lambda key: {
        "Type": "Notification",
        "Message": json.dumps({"Records": [record("aws:s3", aws_key(key))]}),
    },
    "sqs": lambda key: {
        "Messages": [{"Body": json.dumps({"Records": [record("aws:s3", aws_key(key))]})}]
    },
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
FIELD_NAMES = st.sampled_from(
    ("Records", "Messages", "Body", "body", "Message", "Sns", "Event", "EventTime", "detail",
     "detail-type", "s3", "bucket", "object", "name", "key", "size", "eTag", "versionId",
     "userMetadata", "metadata", "tags", "eventName", "eventSource", "eventTime")
)  # fmt: skip
LIKELY_SHAPES = st.recursive(
    JSON_VALUES | st.sampled_from(("Notification", "ObjectCreated:Put", "ceph:s3", "9999", "{}")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(FIELD_NAMES, inner, max_size=6)
        | st.dictionaries(FIELD_NAMES, inner, max_size=6).map(
            lambda value: {"Type": "Notification", "Message": json.dumps(value)}
        )
    ),
    max_leaves=25,
)


def parse_or_refuse(body: bytes) -> Parsed | None:
    try:
        return parse_notification(body, max_events=50, max_depth=16)
    except MalformedEvent:
        return None


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf{}")
@example(b'{"Records": [' + b"9" * 5000 + b"]}")
def test_arbitrary_bytes_raise_nothing_but_malformed_event(body: bytes) -> None:
    parse_or_refuse(body)


@settings(deadline=None)  # a busy machine is no failure
@given(JSON_VALUES | LIKELY_SHAPES)
def test_arbitrary_json_raises_nothing_but_malformed_event(value: Any) -> None:
    parsed = parse_or_refuse(json.dumps(value).encode())
    for event in parsed.events if parsed else ():
        event.ref.key.encode()  # storable everywhere
        assert 0 < len(event.ref.key.encode()) <= 1024


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(sorted(WRAPPERS)), st.dictionaries(FIELD_NAMES, JSON_VALUES, max_size=4))
def test_records_with_fields_of_any_type_raise_nothing_else(
    dialect: str, changes: dict[str, Any]
) -> None:
    body = json.loads(json.dumps(WRAPPERS[dialect]("a.jpg")))
    for record in body.get("Records", []):
        record.update(changes)
        if isinstance(record.get("s3"), dict) and isinstance(record["s3"].get("object"), dict):
            record["s3"]["object"].update(changes)
    parse_or_refuse(json.dumps(body).encode())


@pytest.mark.parametrize("dialect", sorted(WRAPPERS))
@settings(deadline=None)  # a busy machine is no failure
@given(key=KEYS)
def test_any_key_survives_every_dialect(dialect: str, key: str) -> None:
    assert_key_survives(dialect, key)


@pytest.mark.parametrize("dialect", sorted(WRAPPERS))
@pytest.mark.parametrize("key", TRICKY_KEYS)
def test_tricky_keys_survive_every_dialect(dialect: str, key: str) -> None:
    assert_key_survives(dialect, key)


def assert_key_survives(dialect: str, key: str) -> None:
    body = json.dumps(WRAPPERS[dialect](key)).encode()
    parsed = parse_notification(body, max_events=5, max_depth=16)
    assert parsed.problems == ()
    assert [event.ref.key for event in parsed.events] == [key]


@settings(deadline=None)  # a busy machine is no failure
@given(JSON_VALUES)
def test_the_scan_and_the_parser_agree_on_depth(value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    depth = depth_of(value)
    assert not is_deeper_than(body, depth)
    assert depth == 0 or is_deeper_than(body, depth - 1)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize("quotes", [b'"' + b'\\"' * 500_000, b'\\"' * 500_000, b'"' * 1_000_000])
@pytest.mark.timeout(20)  # quadratic would be hours
def test_a_body_of_quotes_is_scanned_in_one_pass(quotes: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_json(quotes, max_depth=8)
