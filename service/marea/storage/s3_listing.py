"""Reads the body of ListObjectVersions in the order in which the store wrote it. Pure.

boto3 sorts the rows into two lists, versions and delete markers, and so loses which of two
neighbours is the newer. That order is what "newer" means here (design rule 4): it cannot be
rebuilt from times, which AWS gives in whole seconds.
"""

from __future__ import annotations

from urllib.parse import unquote_plus
from xml.etree import ElementTree

from marea.clock import from_iso
from marea.messages.objects import ObjectRef, normal_version_id
from marea.storage.object_store import ListedVersion, VersionMarker

_ROWS = ("Version", "DeleteMarker")


def parse_versions(
    bucket: str, body: bytes, after: VersionMarker | None = None
) -> tuple[ListedVersion, ...]:
    """The rows of the page `body` that was asked for from `after` on. ValueError if unreadable.

    ETags lose their quotes, ids are normalised, keys decoded if the store encoded them.
    """
    try:
        # The store is trusted as far as boto3, which parses the same bytes the same way.
        root = ElementTree.fromstring(body)  # noqa: S314
        is_encoded = _text(root, "EncodingType") == "url"
        rows = [_row(bucket, node, is_encoded) for node in root if _name(node) in _ROWS]
    except (ElementTree.ParseError, KeyError) as exc:
        raise ValueError(f"not a listing of versions: {exc!r}") from exc
    if after and not after.version_id:
        # moto goes on with the other versions of the marker's key.
        rows = [row for row in rows if row.ref.key > after.key]
    # By key, and within a key the latest first; else in the order given. What S3, MinIO and
    # Ceph answer passes through unchanged. moto writes all delete markers after all versions:
    # there the order among the older ones of a key stays unknown.
    return tuple(sorted(rows, key=lambda row: (row.ref.key, not row.is_latest)))


def start_of_versions(after: VersionMarker | None) -> dict[str, str]:
    """The arguments of ListObjectVersions that make it go on after `after`."""
    if after is None:
        return {}
    version = {"VersionIdMarker": after.version_id} if after.version_id else {}
    return {"KeyMarker": after.key, **version}


def _row(bucket: str, node: ElementTree.Element, is_encoded: bool) -> ListedVersion:
    fields = {_name(child): child.text or "" for child in node}
    key = fields["Key"]
    return ListedVersion(
        ref=ObjectRef(
            bucket=bucket,
            key=unquote_plus(key) if is_encoded else key,
            version_id=normal_version_id(fields.get("VersionId")),
            etag=fields.get("ETag", "").strip('"'),
            size_bytes=int(fields.get("Size") or 0),
        ),
        is_latest=fields["IsLatest"] == "true",
        is_delete_marker=_name(node) == "DeleteMarker",
        last_modified=from_iso(fields["LastModified"]),
    )


def _name(node: ElementTree.Element) -> str:
    """Without the namespace, which some stores leave out."""
    return node.tag.rpartition("}")[2]


def _text(root: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in root if _name(child) == name), "")
