"""Listings of versions keep the order in which the store wrote them."""

from __future__ import annotations

import pytest

from marea.storage.object_store import VersionMarker
from marea.storage.s3_listing import parse_versions, start_of_versions

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def row(tag: str, key: str, version_id: str, latest: bool = False) -> str:
    etag = "" if tag == "DeleteMarker" else "<ETag>&quot;e1&quot;</ETag><Size>3</Size>"
    return (
        f"<{tag}><Key>{key}</Key><VersionId>{version_id}</VersionId>"
        f"<IsLatest>{str(latest).lower()}</IsLatest>{etag}"
        f"<LastModified>2026-11-21T09:38:36.824Z</LastModified></{tag}>"
    )


def page(*rows: str, encoding: str = "url", namespace: str = NAMESPACE) -> bytes:
    kind = f"<EncodingType>{encoding}</EncodingType>" if encoding else ""
    return (
        f"<ListVersionsResult{namespace}><Name>b</Name>{kind}{''.join(rows)}</ListVersionsResult>"
    ).encode()


def test_markers_stay_between_versions_although_all_have_one_time() -> None:
    body = page(
        row("Version", "k", "v3", latest=True),
        row("DeleteMarker", "k", "m2"),
        row("Version", "k", "v2"),
        row("DeleteMarker", "k", "m1"),
        row("Version", "k", "null"),
    )
    rows = parse_versions("b", body)
    assert [row.ref.version_id for row in rows] == ["v3", "m2", "v2", "m1", ""]
    assert [row.is_delete_marker for row in rows] == [False, True, False, True, False]
    assert rows[0].last_modified == 1795253916.824
    assert (rows[0].ref.etag, rows[0].ref.size_bytes) == ("e1", 3)
    assert (rows[1].ref.etag, rows[1].ref.size_bytes) == ("", 0)


def test_markers_after_all_versions_are_brought_to_their_keys() -> None:
    body = page(
        row("Version", "a", "v1"),
        row("Version", "b", "v2", latest=True),
        row("DeleteMarker", "a", "m1", latest=True),
    )
    assert [row.ref.version_id for row in parse_versions("b", body)] == ["m1", "v1", "v2"]


def test_keys_are_decoded_only_if_the_store_encoded_them() -> None:
    encoded = page(row("Version", "a+b%2B%0A%C3%A9", "v1"))
    assert parse_versions("b", encoded)[0].ref.key == "a b+\né"
    plain = page(row("Version", "a+b%2B", "v1"), encoding="")
    assert parse_versions("b", plain)[0].ref.key == "a+b%2B"


def test_reads_listings_without_a_namespace() -> None:
    assert len(parse_versions("b", page(row("Version", "k", "v1"), namespace=""))) == 1


def test_leaves_out_what_a_marker_without_version_has_behind_it() -> None:
    body = page(row("Version", "a", "v1"), row("Version", "b", "v2"))
    assert [r.ref.key for r in parse_versions("b", body, VersionMarker("a"))] == ["b"]
    assert [r.ref.key for r in parse_versions("b", body, VersionMarker("a", "v0"))] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"not xml", page("<Version><Key>k</Key></Version>")],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a listing"):
        parse_versions("b", body)


def test_a_listing_goes_on_after_its_marker() -> None:
    assert start_of_versions(None) == {}
    assert start_of_versions(VersionMarker("k")) == {"KeyMarker": "k"}
    assert start_of_versions(VersionMarker("k", "null")) == {
        "KeyMarker": "k",
        "VersionIdMarker": "null",
    }
