"""One record of a notification, in the dialect of the store that wrote it.

Nothing in a record is trusted further than this: the key is a legal key, sizes are numbers,
names are text. Whether the object exists is asked of the store, later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from marea.clock import from_iso
from marea.intake.malformed_event import MalformedEvent
from marea.messages.objects import ObjectRef, normal_version_id
from marea.messages.upload_event import EventKind, UploadEvent

MAX_KEY_BYTES = 1024
"""S3's own limit, in UTF-8 bytes."""
MAX_NAME_CHARS = 1024
"""For every other name: buckets have at most 255 characters, version ids at most 1,024."""
MAX_SIZE_BYTES = 2**63 - 1

_META_PREFIX = "x-amz-meta-"
_DELETED_PREFIXES = (
    "ObjectRemoved:",
    "LifecycleExpiration:",  # AWS
    "ObjectLifecycle:Expiration:",  # Ceph
    "LifecycleDelMarkerExpiration:",  # MinIO
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a store spells what all of them say."""

    name: str
    is_key_encoded: bool
    """Whether keys are URL-encoded, `+` for a space."""


DIALECTS: Mapping[str, Dialect] = {
    "aws:s3": Dialect("aws", is_key_encoded=True),
    # RGW dumps the object's name as it is (rgw_pubsub.cc, rgw_pubsub_s3_event::dump).
    "ceph:s3": Dialect("ceph", is_key_encoded=False),
    "minio:s3": Dialect("minio", is_key_encoded=True),
    "rustfs:s3": Dialect("rustfs", is_key_encoded=True),
}
"""By `eventSource`."""
UNNAMED_DIALECT = Dialect("s3", is_key_encoded=True)
"""Stores that name no source, or one of their own, follow AWS."""


def parse_record(record: Any) -> UploadEvent:
    """A record of the `Records` shape. Raises `MalformedEvent`."""
    record = _mapping(record, "the record")
    event_name = _text(record, "eventName", "the record").removeprefix("s3:")
    entity = _mapping(record.get("s3"), "s3")
    described = _mapping(entity.get("object"), "s3.object")
    dialect = DIALECTS.get(str(record.get("eventSource")), UNNAMED_DIALECT)
    raw_key = _text(described, "key", "s3.object", limit=3 * MAX_KEY_BYTES)
    kind = event_kind(event_name)
    return UploadEvent(
        ref=_object_ref(
            bucket=_text(_mapping(entity.get("bucket"), "s3.bucket"), "name", "s3.bucket"),
            key=_decoded(raw_key) if dialect.is_key_encoded else raw_key,
            version=described.get("versionId"),
            etag=described.get("eTag", described.get("etag")),  # RGW before Quincy: etag
            size=described.get("size"),
            kind=kind,
        ),
        kind=kind,
        event_name=event_name,
        event_time=_seconds(record.get("eventTime")),
        sequencer=_optional_text(described.get("sequencer")) or "",
        source=dialect.name,
        content_type=_optional_text(described.get("contentType")),
        user_metadata=_user_metadata(described),
        tags=_pairs(described.get("tags")),
    )


def parse_eventbridge(body: Mapping[str, Any]) -> UploadEvent:
    """An EventBridge event of S3. Its keys are not URL-encoded. Raises `MalformedEvent`."""
    event_name = _text(body, "detail-type", "the event")
    detail = _mapping(body.get("detail"), "detail")
    described = _mapping(detail.get("object"), "detail.object")
    kind = event_kind(event_name)
    return UploadEvent(
        ref=_object_ref(
            bucket=_text(_mapping(detail.get("bucket"), "detail.bucket"), "name", "detail.bucket"),
            key=_text(described, "key", "detail.object"),
            version=described.get("version-id"),
            etag=described.get("etag"),
            size=described.get("size"),
            kind=kind,
        ),
        kind=kind,
        event_name=event_name,
        event_time=_seconds(body.get("time")),
        sequencer=_optional_text(described.get("sequencer")) or "",
        source="eventbridge",
    )


def event_kind(event_name: str) -> EventKind:
    """What an event's name (without `s3:`) means for the key."""
    if event_name.startswith("ObjectCreated:") or event_name == "Object Created":
        return "created"
    if event_name.startswith(_DELETED_PREFIXES) or event_name == "Object Deleted":
        return "deleted"
    return "other"


def _object_ref(
    *, bucket: str, key: str, version: Any, etag: Any, size: Any, kind: EventKind
) -> ObjectRef:
    key_bytes = len(key.encode("utf-8"))
    if not 0 < key_bytes <= MAX_KEY_BYTES:
        raise MalformedEvent(f"the key has {key_bytes} bytes; S3 keys have 1 to {MAX_KEY_BYTES}")
    ref = ObjectRef(
        bucket=bucket,
        key=key,
        version_id=normal_version_id(_optional_text(version)),
        etag=(_optional_text(etag) or "").strip('"'),
        size_bytes=_size_bytes(size),
    )
    if kind == "created" and not ref.version_id and not ref.etag:
        raise MalformedEvent(f"the event for {key!r} names neither a version nor an ETag")
    return ref


def _decoded(raw_key: str) -> str:
    try:
        return unquote_to_bytes(raw_key.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedEvent(f"the key {raw_key!r} is not UTF-8 when URL-decoded") from exc


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedEvent(f"{where} is missing or not an object")
    return value


def _text(parent: Mapping[str, Any], name: str, where: str, limit: int = MAX_NAME_CHARS) -> str:
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedEvent(f"{where} has no {name}")
    return _storable(value, limit)


def _optional_text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedEvent(f"{value!r:.40} was expected to be a string")
    return _storable(value, MAX_NAME_CHARS)


def _storable(text: str, limit: int) -> str:
    """Text that the ledger, the broker and a log can hold. JSON may spell half a surrogate
    pair (`\\ud800`), which no encoding takes."""
    if len(text) > limit:
        raise MalformedEvent(f"a name has {len(text)} characters; at most {limit} are read")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MalformedEvent(f"{text!r:.40} holds half a surrogate pair") from exc
    return text


def _size_bytes(value: Any) -> int:
    if value is None:
        return 0  # MinIO leaves out a size of zero
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SIZE_BYTES:
        raise MalformedEvent(f"the size {value!r:.40} is not a number of bytes")
    return value


def _seconds(value: Any) -> float | None:
    try:
        return from_iso(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None  # only a delay is counted from it, and then "now" will do


def _user_metadata(described: Mapping[str, Any]) -> Mapping[str, str] | None:
    """MinIO's and RustFS's `userMetadata`, or Ceph's `metadata`; None where neither is said."""
    stated = described.get("userMetadata")
    named = dict(stated) if isinstance(stated, dict) else _pairs(described.get("metadata"))
    if named is None:
        return None
    return {
        name.lower().removeprefix(_META_PREFIX): _storable(value, MAX_NAME_CHARS * 2)
        for name, value in named.items()
        if isinstance(value, str)
        and _storable(name, MAX_NAME_CHARS).lower().startswith(_META_PREFIX)
    }


def _pairs(value: Any) -> dict[str, str] | None:
    """Ceph's `[{"key": …, "val": …}]`. An empty list is "not said": RGW also sends it where
    it has not looked (multipart completions)."""
    if not isinstance(value, list) or not value:
        return None
    return {
        _storable(pair["key"], MAX_NAME_CHARS): _storable(pair["val"], MAX_NAME_CHARS * 2)
        for pair in value
        if isinstance(pair, dict)
        and isinstance(pair.get("key"), str)
        and isinstance(pair.get("val"), str)
    }
