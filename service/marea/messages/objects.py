"""An object in a bucket, pinned to one version of its content."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One version of one object.

    `version_id` is "" where the bucket keeps no versions ("null", which stores report in
    listings of suspended buckets, is normalised to ""). `etag` carries no quotes.
    """

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""
    size_bytes: int = 0

    @property
    def identity(self) -> str:
        """What tells this content from another under the same key (design rule 1).

        The version id; where there is none, the ETag: there the promise is only "the result
        of the current content".
        """
        return self.version_id or f"etag:{self.etag}"

    @property
    def is_versioned(self) -> bool:
        return bool(self.version_id)


def normal_version_id(version_id: str | None) -> str:
    """The version id as Marea spells it: events say nothing or "null", listings say "null"."""
    return "" if version_id in (None, "", "null") else str(version_id)
