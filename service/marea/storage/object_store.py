"""The object store port: versions, conditional PUT, paged listings.

Every method raises `StoreUnavailable` when the store does not answer or answers 5xx/429; a
write that raises it may or may not have happened. Foreign exceptions never cross this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from marea.messages.objects import ObjectRef


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What HEAD tells of the current content of a key."""

    ref: ObjectRef
    last_modified: float
    content_type: str
    metadata: Mapping[str, str]
    """User metadata, names in lower case, without the x-amz-meta- prefix."""


@dataclass(frozen=True, slots=True)
class ObjectBody:
    """A whole object in memory."""

    head: ObjectHead
    data: bytes


@dataclass(frozen=True, slots=True)
class PutCondition:
    """When a PUT may replace what is there. Neither field: always."""

    if_absent: bool = False
    """If-None-Match: *"""
    if_etag: str = ""
    """If-Match: this ETag (no quotes)"""


ALWAYS = PutCondition()
IF_ABSENT = PutCondition(if_absent=True)


def if_etag(etag: str) -> PutCondition:
    """Replace only the content whose ETag this is."""
    return PutCondition(if_etag=etag)


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One row of ListObjectVersions. In an unversioned bucket every row is current."""

    ref: ObjectRef
    is_latest: bool
    is_delete_marker: bool
    last_modified: float


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Rows ordered by key (UTF-8 bytes), newest version first; `next` is None at the end."""

    rows: tuple[ListedVersion, ...]
    next: VersionMarker | None


@dataclass(frozen=True, slots=True)
class VersionMarker:
    """Where a listing goes on. `version_id` "" = after every version of `key`."""

    key: str
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class ListedObject:
    key: str
    etag: str
    size_bytes: int
    last_modified: float


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Rows ordered by key (UTF-8 bytes); `next_after` is the last key, None at the end."""

    rows: tuple[ListedObject, ...]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class PresignedPost:
    """An HTML form upload: POST `fields` and then the file to `url`."""

    url: str
    fields: Mapping[str, str]
    expires_at: float


@dataclass(frozen=True, slots=True)
class StoreAbilities:
    """What a probe found. `sentence` says what is missing and what to do; "" if nothing."""

    conditional_put: bool
    versioned_source: bool
    sentence: str = ""
    notes: tuple[str, ...] = field(default=())


class ObjectStore(Protocol):
    """Reads versions, writes conditionally, lists in pages."""

    def get(self, ref: ObjectRef, *, max_bytes: int | None = None) -> ObjectBody:
        """The bytes of exactly `ref`.

        With a version id: that version. Without one: the current content, if its ETag is
        `ref.etag` (any content if that is ""). Raises `ObjectGone`, `ObjectChanged`, or
        `PermanentError(code="file-too-large")` before reading more than `max_bytes`.
        """
        ...

    def head(self, bucket: str, key: str) -> ObjectHead | None:
        """The current content, or None if there is none (never written, or deleted)."""
        ...

    def head_version(self, ref: ObjectRef) -> ObjectHead | None:
        """What HEAD tells of exactly `ref`; None if that version is gone.

        Without a version id: the current content if its ETag is `ref.etag` (or that is "").
        """
        ...

    def tags(self, ref: ObjectRef) -> Mapping[str, str]:
        """Object tags of exactly `ref`; {} where the store has none. Raises `ObjectGone`."""
        ...

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        condition: PutCondition = ALWAYS,
    ) -> ObjectRef:
        """Write; returns the stored ref. Raises `PreconditionFailed` if `condition` fails.

        Metadata names and values must be ASCII (design rule 12).
        """
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Delete the current content (a marker in a versioned bucket). Absent is fine."""
        ...

    def list_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        after: VersionMarker | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        """One page (1 <= limit <= 1000) of every version and delete marker."""
        ...

    def list_objects(
        self, bucket: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> ObjectPage:
        """One page of current objects whose key is greater than `after`."""
        ...

    def is_versioned(self, bucket: str) -> bool:
        """Whether new content in the bucket gets a version id."""
        ...

    def presigned_post(
        self,
        bucket: str,
        key: str,
        *,
        expires_s: int,
        min_bytes: int,
        max_bytes: int,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> PresignedPost:
        """A form for one upload to `key`, its size held within the range by the store."""
        ...

    def probe(self, source_buckets: tuple[str, ...], results_bucket: str) -> StoreAbilities:
        """Try conditional PUT in the results bucket (a second PUT must be refused).

        Leaves one small object under the reserved prefix. Raises `StoreUnavailable`, also for
        buckets that do not exist: each is named, and may be made while somebody waits for it.
        """
        ...
