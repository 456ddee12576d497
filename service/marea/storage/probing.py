"""Finds out, through the port, what a store can do and what Marea loses without it.

Called by each adapter's `probe`, after it has made sure that the buckets exist. Conditional
PUT is tried, not looked up: stores that do not know the headers ignore them silently.
"""

from __future__ import annotations

from marea.errors import PreconditionFailed, StoreUnavailable
from marea.storage.naming import probe_key
from marea.storage.object_store import (
    IF_ABSENT,
    ObjectStore,
    PutCondition,
    StoreAbilities,
    if_etag,
)

HEADER_NOT_IMPLEMENTED = "store-header-not-implemented"
"""Code of the `StoreUnavailable` that an adapter raises for a 501."""

_STALE_ETAG = "0" * 32
"""The MD5 of nothing that anybody has found."""


def missing_bucket(name: str) -> str:
    """The sentence about a bucket that does not exist."""
    return (
        f"The bucket {name!r} does not exist in the store: create it, as `marea store prepare`"
        " does, or correct MAREA_STORE__SOURCE_BUCKETS or MAREA_STORE__RESULTS_BUCKET."
    )


def probe_abilities(
    store: ObjectStore, reserved_prefix: str, source_buckets: tuple[str, ...], results_bucket: str
) -> StoreAbilities:
    """Leaves one small object, `<reserved_prefix>probe`. Raises `StoreUnavailable`."""
    key = probe_key(reserved_prefix)
    ignored = []
    # The first creates the object unless an earlier probe did; then the second must fail.
    _is_refused(store, results_bucket, key, IF_ABSENT)
    if not _is_refused(store, results_bucket, key, IF_ABSENT):
        ignored.append("If-None-Match")
    if not _is_refused(store, results_bucket, key, if_etag(_STALE_ETAG)):
        ignored.append("If-Match")
    unversioned = [name for name in source_buckets if not store.is_versioned(name)]
    return StoreAbilities(
        conditional_put=not ignored,
        versioned_source=not unversioned,
        sentence=_without_conditions(ignored) if ignored else "",
        notes=tuple(without_versions(name) for name in unversioned),
    )


def _is_refused(store: ObjectStore, bucket: str, key: str, condition: PutCondition) -> bool:
    try:
        store.put(
            bucket,
            key,
            b"Marea writes this object to see whether the store honours conditional PUT.\n",
            content_type="text/plain",
            condition=condition,
        )
    except PreconditionFailed:
        return True
    except StoreUnavailable as exc:
        # A store that knows of the header but not what to do with it says so: 501.
        if exc.code == HEADER_NOT_IMPLEMENTED:
            return False
        raise
    return False


def _without_conditions(ignored: list[str]) -> str:
    return (
        f"This store ignores {' and '.join(ignored)} on PUT, so two versions of one key could"
        " overwrite each other's results in the wrong order. Set"
        " MAREA_STORE__ALLOW_UNORDERED=true to run without order, or use a store with"
        " conditional PUT (AWS S3, MinIO, Ceph, Cloudflare R2)."
    )


def without_versions(bucket: str) -> str:
    return (
        f"The source bucket {bucket!r} keeps no versions: of uploads that overwrite each other"
        " quickly only the last is sure to be processed. Enable versioning to process each."
    )
