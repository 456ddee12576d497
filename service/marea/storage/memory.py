"""`MemoryObjectStore`: the object store port in a dictionary, for simulations and tests.

It passes the same contract suite as the real servers and behaves as MinIO does where stores
differ: a delete adds no marker on top of a marker or to a key that never was. It accepts every
key that the S3 API allows, lists what lies below an object (MinIO does not), and forgets all
when the process ends. Version ids are the same in each run and in no order.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from marea.clock import Clock
from marea.errors import (
    ObjectChanged,
    ObjectGone,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
)
from marea.messages.objects import ObjectRef, normal_version_id
from marea.storage.limits import (
    KEY_NOT_ACCEPTED,
    file_too_large,
    require_key,
    require_metadata,
    require_page_limit,
)
from marea.storage.object_store import (
    ALWAYS,
    ListedObject,
    ListedVersion,
    ObjectBody,
    ObjectHead,
    ObjectPage,
    PresignedPost,
    PutCondition,
    StoreAbilities,
    VersionMarker,
    VersionPage,
)
from marea.storage.probing import missing_bucket, probe_abilities

NULL_VERSION = "null"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One version, or one delete marker, of one key."""

    version_id: str
    """"null" for what was written while versioning was off."""
    data: bytes
    etag: str
    content_type: str
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    last_modified: float
    is_delete_marker: bool = False


@dataclass(slots=True)
class _Bucket:
    is_versioned: bool
    has_been_versioned: bool
    """A suspended bucket keeps its versions and deletes by null markers."""
    chains: dict[str, list[_Entry]] = field(default_factory=dict)
    """Entries by key, newest first; never empty."""
    keys: list[str] = field(default_factory=list)
    """The keys of `chains`, sorted. Strings sort as their UTF-8 bytes do."""


class MemoryObjectStore:
    """Safe for use by several threads; every call is atomic."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.RLock()
        self._version_count = 0

    # what clients and administrators of a store do, and Marea does not

    def create_bucket(self, name: str, versioned: bool = True) -> None:
        """Create an empty bucket; an existing one is left as it is."""
        with self._lock:
            self._buckets.setdefault(name, _Bucket(versioned, versioned))

    def set_versioning(self, name: str, versioned: bool) -> None:
        """Enable versioning, or suspend it: from then on a delete leaves a marker either way."""
        with self._lock:
            bucket = self._bucket(name)
            bucket.is_versioned = versioned
            bucket.has_been_versioned = True

    def upload(
        self,
        bucket: str,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ObjectRef:
        """What a client's PUT does, tags included."""
        require_key(key)
        require_metadata(metadata or {})
        with self._lock:
            return self._write(bucket, key, data, content_type, metadata or {}, tags or {})

    def delete_version(self, ref: ObjectRef) -> None:
        """Delete exactly this version or marker, as a client or a lifecycle rule does."""
        with self._lock:
            bucket = self._bucket(ref.bucket)
            chain = bucket.chains.get(ref.key, [])
            version_id = ref.version_id or NULL_VERSION
            self._keep(bucket, ref.key, [e for e in chain if e.version_id != version_id])

    # the port

    def get(self, ref: ObjectRef, *, max_bytes: int | None = None) -> ObjectBody:
        with self._lock:
            entry = self._entry(ref)
        if max_bytes is not None and len(entry.data) > max_bytes:
            raise file_too_large(ref.bucket, ref.key, max_bytes)
        return ObjectBody(_head(ref.bucket, ref.key, entry), entry.data)

    def head(self, bucket: str, key: str) -> ObjectHead | None:
        require_key(key)
        with self._lock:
            entry = self._current(bucket, key)
            return _head(bucket, key, entry) if entry else None

    def head_version(self, ref: ObjectRef) -> ObjectHead | None:
        try:
            with self._lock:
                return _head(ref.bucket, ref.key, self._entry(ref))
        except (ObjectGone, ObjectChanged):
            return None

    def tags(self, ref: ObjectRef) -> Mapping[str, str]:
        with self._lock:
            return self._entry(ref).tags

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
        require_key(key)
        require_metadata(metadata or {})
        with self._lock:
            current = self._current(bucket, key)
            if condition.if_absent and current is not None:
                raise PreconditionFailed(f"{bucket}/{key} exists already.")
            if condition.if_etag and (current is None or current.etag != condition.if_etag):
                raise PreconditionFailed(f"{bucket}/{key} is no longer {condition.if_etag}.")
            return self._write(bucket, key, data, content_type, metadata or {}, {})

    def delete(self, bucket: str, key: str) -> None:
        require_key(key)
        with self._lock:
            home = self._bucket(bucket)
            chain = home.chains.get(key, [])
            if not chain or chain[0].is_delete_marker:
                return
            if not home.has_been_versioned:
                self._keep(home, key, [])
                return
            version_id = self._next_version_id(home)
            marker = _Entry(version_id, b"", "", "", {}, {}, self._clock.now(), True)
            self._keep(home, key, _on_top(marker, chain))

    def list_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        after: VersionMarker | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        require_page_limit(limit)
        rows: list[ListedVersion] = []
        with self._lock:
            for row in self._rows(bucket, prefix, after):
                if len(rows) == limit:
                    last = rows[-1].ref
                    next_marker = VersionMarker(last.key, last.version_id or NULL_VERSION)
                    return VersionPage(tuple(rows), next_marker)
                rows.append(row)
        return VersionPage(tuple(rows), None)

    def list_objects(
        self, bucket: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> ObjectPage:
        require_page_limit(limit)
        rows: list[ListedObject] = []
        with self._lock:
            home = self._bucket(bucket)
            for key in _keys_from(home.keys, prefix, bisect_right(home.keys, after)):
                entry = home.chains[key][0]
                if entry.is_delete_marker:
                    continue
                if len(rows) == limit:
                    return ObjectPage(tuple(rows), rows[-1].key)
                rows.append(ListedObject(key, entry.etag, len(entry.data), entry.last_modified))
        return ObjectPage(tuple(rows), None)

    def is_versioned(self, bucket: str) -> bool:
        with self._lock:
            return self._bucket(bucket).is_versioned

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
        """The shape of a form; nobody listens at its address."""
        require_key(key)
        require_metadata(metadata or {})
        if "${filename}" in key:
            raise PermanentError("A form's key must be fixed.", code=KEY_NOT_ACCEPTED)
        self._bucket(bucket)
        fields = {"key": key, "policy": f"content-length-range,{min_bytes},{max_bytes}"}
        if content_type is not None:
            fields["Content-Type"] = content_type
        fields.update({f"x-amz-meta-{n.lower()}": v for n, v in (metadata or {}).items()})
        return PresignedPost(f"memory://{bucket}", fields, self._clock.now() + expires_s)

    def probe(self, source_buckets: tuple[str, ...], results_bucket: str) -> StoreAbilities:
        wanted = (*source_buckets, results_bucket)
        problems = [missing_bucket(name) for name in wanted if name not in self._buckets]
        if problems:
            raise StoreUnavailable(" ".join(problems))
        return probe_abilities(self, ".marea/", source_buckets, results_bucket)

    # under the lock

    def _bucket(self, name: str) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            raise StoreUnavailable(missing_bucket(name))
        return bucket

    def _current(self, bucket: str, key: str) -> _Entry | None:
        chain = self._bucket(bucket).chains.get(key)
        return chain[0] if chain and not chain[0].is_delete_marker else None

    def _entry(self, ref: ObjectRef) -> _Entry:
        require_key(ref.key)
        if not ref.version_id:
            current = self._current(ref.bucket, ref.key)
            if current is None:
                raise ObjectGone(f"{ref.bucket}/{ref.key} does not exist any more.")
            if ref.etag and current.etag != ref.etag:
                raise ObjectChanged(f"{ref.bucket}/{ref.key} now holds other content.")
            return current
        for entry in self._bucket(ref.bucket).chains.get(ref.key, []):
            if entry.version_id == ref.version_id and not entry.is_delete_marker:
                return entry
        raise ObjectGone(f"{ref.bucket}/{ref.key} has no version {ref.version_id} any more.")

    def _write(
        self,
        bucket: str,
        key: str,
        data: bytes,
        content_type: str,
        metadata: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> ObjectRef:
        home = self._bucket(bucket)
        entry = _Entry(
            version_id=self._next_version_id(home),
            data=bytes(data),
            etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            content_type=content_type,
            metadata=MappingProxyType({name.lower(): v for name, v in metadata.items()}),
            tags=MappingProxyType(dict(tags)),
            last_modified=self._clock.now(),
        )
        self._keep(home, key, _on_top(entry, home.chains.get(key, [])))
        return _ref(bucket, key, entry)

    def _keep(self, bucket: _Bucket, key: str, chain: list[_Entry]) -> None:
        at = bisect_left(bucket.keys, key)
        if chain:
            if key not in bucket.chains:
                bucket.keys.insert(at, key)
            bucket.chains[key] = chain
        elif key in bucket.chains:
            del bucket.keys[at], bucket.chains[key]

    def _next_version_id(self, bucket: _Bucket) -> str:
        if not bucket.is_versioned:
            return NULL_VERSION
        self._version_count += 1
        # A hash, so that nothing can come to rely on the order of ids.
        return hashlib.sha256(str(self._version_count).encode()).hexdigest()[:32]

    def _rows(
        self, bucket: str, prefix: str, after: VersionMarker | None
    ) -> Iterator[ListedVersion]:
        home = self._bucket(bucket)
        start = bisect_left(home.keys, after.key) if after else 0
        for key in _keys_from(home.keys, prefix, start):
            chain = home.chains[key]
            first = 0
            if after and key == after.key:
                ids = [entry.version_id for entry in chain]
                if not after.version_id:
                    first = len(chain)
                elif after.version_id in ids:
                    first = ids.index(after.version_id) + 1
                # Deleted meanwhile: the key is listed again whole rather than left out.
            for position, entry in enumerate(chain[first:], start=first):
                yield ListedVersion(
                    ref=_ref(bucket, key, entry),
                    is_latest=position == 0,
                    is_delete_marker=entry.is_delete_marker,
                    last_modified=entry.last_modified,
                )


def _keys_from(keys: list[str], prefix: str, start: int) -> Iterator[str]:
    for at in range(max(start, bisect_left(keys, prefix)), len(keys)):
        if not keys[at].startswith(prefix):
            return
        yield keys[at]


def _on_top(entry: _Entry, chain: list[_Entry]) -> list[_Entry]:
    """A null version replaces the null version, wherever in the chain that is."""
    if entry.version_id == NULL_VERSION:
        chain = [e for e in chain if e.version_id != NULL_VERSION]
    return [entry, *chain]


def _ref(bucket: str, key: str, entry: _Entry) -> ObjectRef:
    version_id = normal_version_id(entry.version_id)
    return ObjectRef(bucket, key, version_id, entry.etag, len(entry.data))


def _head(bucket: str, key: str, entry: _Entry) -> ObjectHead:
    return ObjectHead(
        _ref(bucket, key, entry), entry.last_modified, entry.content_type, entry.metadata
    )
