"""The uploads of a run: what clients did, joined with what the source bucket lists.

Marea is not asked. An upload is *listed* if the bucket shows it and *known* if, besides, only
the history proves it (overwritten in a bucket without versions, or lost by the store).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.evidence import SourceVersion
from loadtest.history import Expected, Operation, Oracle

UploadId = tuple[str, str, str]
"""Bucket, key, identity."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of one source object. `rank` counts what is newer under its key, delete
    markers included; 0 = the current content."""

    bucket: str
    key: str
    identity: str
    etag: str
    size_bytes: int
    rank: int
    operation: Operation | None

    @property
    def id(self) -> UploadId:
        return (self.bucket, self.key, self.identity)

    @property
    def is_current(self) -> bool:
        return self.rank == 0

    @property
    def has_versions(self) -> bool:
        return not self.identity.startswith("etag:")

    @property
    def oracle(self) -> Oracle:
        return self.operation.oracle if self.operation else ""

    @property
    def pipelines(self) -> tuple[str, ...]:
        return self.operation.expected_pipelines if self.operation else ()

    def expected_of(self, pipeline: str) -> tuple[Expected, ...]:
        """The results that `pipeline` must leave; () if the oracle names none."""
        if self.operation is None:
            return ()
        return tuple(one for one in self.operation.expected if one.pipeline == pipeline)


class Uploads:
    """Indexes over the uploads; `listed` keeps the listing's order, newest first per key."""

    def __init__(self, history: Sequence[Operation], rows: Sequence[SourceVersion]) -> None:
        puts = [one for one in history if one.op == "put" and one.outcome != "failed"]
        self._on_key: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for one in history:
            if one.outcome != "failed":
                self._on_key[one.bucket, one.key].append(one)
        self._times_put = Counter((one.bucket, one.key, one.etag) for one in puts)
        self.has_puts = bool(puts)
        self.acknowledged = sum(one.outcome == "ok" for one in puts)
        by_version = {(o.bucket, o.key, o.version_id): o for o in puts if o.version_id}
        # A client library that repeats a PUT leaves versions that no answer names: by content.
        by_etag = {(o.bucket, o.key, o.etag): o for o in sorted(puts, key=_is_unknown)}
        self.recovered = 0
        self.listed: list[Upload] = []
        self.by_key: dict[tuple[str, str], list[Upload]] = defaultdict(list)
        above: dict[tuple[str, str], int] = defaultdict(int)
        for row in rows:
            home = (row.bucket, row.key)
            rank, above[home] = above[home], above[home] + 1
            if row.is_delete_marker:
                continue
            operation = by_version.get((*home, row.version_id)) or by_etag.get((*home, row.etag))
            if operation is not None and operation.outcome == "unknown":
                self.recovered += 1
            upload = Upload(*home, row.identity, row.etag, row.size_bytes, rank, operation)
            self.listed.append(upload)
            self.by_key[home].append(upload)
        self._known = {upload.id: upload for upload in self.listed}
        self._delete_markers = {(row.bucket, row.key) for row in rows if row.is_delete_marker}
        self.vanished = [one for one in puts if one.outcome == "ok" and self._has_vanished(one)]
        for one in puts:
            identity = one.version_id or f"etag:{one.etag}"
            upload = Upload(
                one.bucket, one.key, identity, one.etag, one.size_bytes, len(puts) + 1, one
            )
            self._known.setdefault(upload.id, upload)

    @property
    def known(self) -> list[Upload]:
        return list(self._known.values())

    def find(self, upload_id: UploadId) -> Upload | None:
        return self._known.get(upload_id)

    def times_uploaded(self, upload: Upload | None) -> int:
        """How many results of `upload` may be stored under one key: one per version; without
        versions, one per PUT of that content, since A→B→A makes A's result twice."""
        if upload is None or upload.has_versions:
            return 1
        return max(1, self._times_put[upload.bucket, upload.key, upload.etag])

    def _has_vanished(self, put: Operation) -> bool:
        """Acknowledged, not listed, and no client can have removed it."""
        if (put.bucket, put.key, put.version_id or f"etag:{put.etag}") in self._known:
            return False
        others = [other for other in self._on_key[put.bucket, put.key] if other is not put]
        if put.version_id:
            return not any(o.op == "purge" and o.version_id == put.version_id for o in others)
        return not any(_may_follow(other, put) for other in others)


def _is_unknown(put: Operation) -> bool:
    return put.outcome == "unknown"


def _may_follow(other: Operation, put: Operation) -> bool:
    """Whether `other` may have taken effect after `put`: it had not ended before it began."""
    return other.completed_at is None or other.completed_at >= put.invoked_at
