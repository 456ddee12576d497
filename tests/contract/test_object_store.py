"""What the object store port promises, asked of each store. Named differences are marked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from object_stores import KINDS, StorePlace, all_keys, all_versions, md5, new_bucket_name, place_of

from marea.errors import (
    ObjectChanged,
    ObjectGone,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
)
from marea.messages.objects import ObjectRef
from marea.storage.object_store import IF_ABSENT, PutCondition, if_etag

STALE = "0" * 32


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> StorePlace:
    return place_of(request)


@pytest.fixture(params=["versioned", "unversioned"])
def bucket(request: pytest.FixtureRequest, place: StorePlace) -> str:
    return place.create_bucket(versioned=request.param == "versioned")


# reading


def test_gives_back_what_was_put(place: StorePlace, bucket: str) -> None:
    before = time.time()
    ref = place.store.put(
        bucket, "a/b.jpg", b"bytes", content_type="image/jpeg", metadata={"Marea-Job": "J1"}
    )
    body = place.store.get(ref)
    assert body.data == b"bytes"
    assert body.head.ref == ref
    assert (ref.etag, ref.size_bytes) == (md5(b"bytes"), 5)
    assert body.head.content_type == "image/jpeg"
    assert dict(body.head.metadata) == {"marea-job": "J1"}
    assert abs(body.head.last_modified - before) < 5
    assert place.store.head(bucket, "a/b.jpg") == body.head


def test_version_ids_exist_exactly_where_versions_are_kept(place: StorePlace) -> None:
    with_versions, without = place.create_bucket(True), place.create_bucket(False)
    assert place.store.put(with_versions, "k", b"x").version_id not in ("", "null")
    assert place.store.put(without, "k", b"x").version_id == ""
    assert place.store.is_versioned(with_versions)
    assert not place.store.is_versioned(without)


def test_gets_exactly_the_version_that_was_asked_for(place: StorePlace) -> None:
    bucket = place.create_bucket()
    refs = [place.upload(bucket, "k", data) for data in (b"one", b"two", b"one")]
    place.store.delete(bucket, "k")
    assert [place.store.get(ref).data for ref in refs] == [b"one", b"two", b"one"]
    assert [place.store.get(ref).head.ref for ref in refs] == refs
    assert place.store.head_version(refs[0]) == place.store.get(refs[0]).head


def test_a_deleted_version_is_gone(place: StorePlace) -> None:
    bucket = place.create_bucket()
    first, second = place.upload(bucket, "k", b"one"), place.upload(bucket, "k", b"two")
    place.delete_version(first)
    with pytest.raises(ObjectGone):
        place.store.get(first)
    with pytest.raises(ObjectGone):
        place.store.tags(first)
    assert place.store.head_version(first) is None
    assert place.store.get(second).data == b"two"


@pytest.mark.parametrize("version_id", ["12345678-1234-1234-1234-123456789012", "garbage", "é"])
def test_a_version_that_never_was_is_gone(place: StorePlace, version_id: str) -> None:
    bucket = place.create_bucket()
    place.upload(bucket, "k", b"x")
    with pytest.raises(ObjectGone):
        place.store.get(ObjectRef(bucket, "k", version_id))
    assert place.store.head_version(ObjectRef(bucket, "k", version_id)) is None


def test_a_delete_marker_is_not_an_object(place: StorePlace) -> None:
    bucket = place.create_bucket()
    place.upload(bucket, "k", b"x")
    place.store.delete(bucket, "k")
    marker = all_versions(place.store, bucket)[0]
    assert marker.is_delete_marker
    for attempt in (place.store.get, place.store.tags):
        with pytest.raises(ObjectGone):
            attempt(marker.ref)
    assert place.store.head_version(marker.ref) is None


def test_without_a_version_only_the_named_content_is_read(place: StorePlace, bucket: str) -> None:
    old = place.store.put(bucket, "k", b"old")
    unpinned = ObjectRef(bucket, "k", "", old.etag, old.size_bytes)
    assert place.store.get(unpinned).data == b"old"
    assert place.store.head_version(unpinned) is not None
    assert dict(place.store.tags(unpinned)) == {}
    place.store.put(bucket, "k", b"new")
    for attempt in (place.store.get, place.store.tags):
        with pytest.raises(ObjectChanged):
            attempt(unpinned)
    assert place.store.head_version(unpinned) is None
    assert place.store.get(ObjectRef(bucket, "k")).data == b"new"
    with pytest.raises(ObjectChanged):
        place.store.get(ObjectRef(bucket, "k", etag="not\nan\netag"))


def test_what_was_never_written_or_was_deleted_is_absent(place: StorePlace, bucket: str) -> None:
    place.store.put(bucket, "deleted", b"x")
    place.store.delete(bucket, "deleted")
    place.store.delete(bucket, "never")
    for key in ("deleted", "never"):
        assert place.store.head(bucket, key) is None
        assert place.store.head_version(ObjectRef(bucket, key)) is None
        with pytest.raises(ObjectGone):
            place.store.get(ObjectRef(bucket, key))
    assert all_keys(place.store, bucket) == []


def test_nothing_larger_than_the_limit_is_read(place: StorePlace, bucket: str) -> None:
    ref = place.store.put(bucket, "k", b"x" * 1000)
    assert len(place.store.get(ref, max_bytes=1000).data) == 1000
    with pytest.raises(PermanentError, match="999 bytes") as refusal:
        place.store.get(ref, max_bytes=999)
    assert refusal.value.code == "file-too-large"
    empty = place.store.put(bucket, "empty", b"")
    assert place.store.get(empty, max_bytes=0).data == b""


def test_holds_objects_of_many_buffers(place: StorePlace, bucket: str) -> None:
    data = bytes(range(256)) * 40_000  # 10 MB
    ref = place.store.put(bucket, "large", data)
    assert ref.etag == md5(data)
    assert place.store.get(ref, max_bytes=len(data)).data == data


def test_reads_the_tags_of_each_version(place: StorePlace) -> None:
    bucket = place.create_bucket()
    first = place.upload(bucket, "k", b"1", tags={"kind": "invoice", "q + a": "1 + 1=2"})
    second = place.upload(bucket, "k", b"2")
    assert dict(place.store.tags(first)) == {"kind": "invoice", "q + a": "1 + 1=2"}
    assert dict(place.store.tags(second)) == {}
    with pytest.raises(ObjectGone):
        place.store.tags(ObjectRef(bucket, "never"))


def test_metadata_that_is_not_ascii_is_refused_before_it_is_sent(
    place: StorePlace, bucket: str
) -> None:
    for metadata in ({"name": "é"}, {"naïve": "x"}, {"a": "line\nbreak"}, {"a": "x" * 2100}):
        with pytest.raises(PermanentError) as refusal:
            place.store.put(bucket, "k", b"x", metadata=metadata)
        assert refusal.value.code == "metadata-not-accepted"
    assert place.store.head(bucket, "k") is None


# conditional PUT


@pytest.mark.parametrize("deleted", [False, True], ids=["never", "deleted"])
def test_if_absent_writes_once(place: StorePlace, bucket: str, deleted: bool) -> None:
    if deleted:
        place.store.put(bucket, "k", b"before")
        place.store.delete(bucket, "k")
    first = place.store.put(bucket, "k", b"first", condition=IF_ABSENT)
    with pytest.raises(PreconditionFailed):
        place.store.put(bucket, "k", b"second", condition=IF_ABSENT)
    assert place.store.get(ObjectRef(bucket, "k")).head.ref == first


def test_if_etag_replaces_only_what_was_read(place: StorePlace, bucket: str) -> None:
    read = place.store.put(bucket, "k", b"read")
    new = place.store.put(bucket, "k", b"new", condition=if_etag(read.etag))
    for stale in (read.etag, STALE):
        with pytest.raises(PreconditionFailed):
            place.store.put(bucket, "k", b"late", condition=if_etag(stale))
    assert place.store.get(ObjectRef(bucket, "k")).head.ref == new


@pytest.mark.parametrize("deleted", [False, True], ids=["never", "deleted"])
def test_if_etag_fails_where_there_is_nothing(
    place: StorePlace, bucket: str, deleted: bool
) -> None:
    etag = STALE
    if deleted:
        etag = place.store.put(bucket, "k", b"x").etag
        place.store.delete(bucket, "k")
    with pytest.raises(PreconditionFailed):
        place.store.put(bucket, "k", b"y", condition=if_etag(etag))
    assert place.store.head(bucket, "k") is None


@pytest.mark.parametrize("condition", [IF_ABSENT, if_etag(md5(b"start"))], ids=["none", "etag"])
def test_one_of_many_writers_at_once_wins(
    place: StorePlace, bucket: str, condition: PutCondition
) -> None:
    if place.name == "moto":
        pytest.skip("named difference: moto checks conditions and writes without a lock")
    if condition.if_etag:
        place.store.put(bucket, "k", b"start")

    def write(number: int) -> bool:
        try:
            place.store.put(bucket, "k", b"writer %d" % number, condition=condition)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 1


# buckets and probe


def test_a_missing_bucket_is_never_taken_for_a_missing_object(place: StorePlace) -> None:
    ref = ObjectRef(new_bucket_name(), "k")
    for attempt in (
        lambda: place.store.get(ref),
        lambda: place.store.head(ref.bucket, ref.key),
        lambda: place.store.head_version(ref),
        lambda: place.store.tags(ref),
        lambda: place.store.put(ref.bucket, ref.key, b"x"),
        lambda: place.store.put(ref.bucket, ref.key, b"x", condition=if_etag(STALE)),
        lambda: place.store.delete(ref.bucket, ref.key),
        lambda: place.store.list_versions(ref.bucket),
        lambda: place.store.list_objects(ref.bucket),
        lambda: place.store.is_versioned(ref.bucket),
    ):
        with pytest.raises(StoreUnavailable, match=f"'{ref.bucket}' does not exist"):
            attempt()


def test_probe_finds_conditional_put_and_versions(place: StorePlace) -> None:
    source, results = place.create_bucket(True), place.create_bucket(True)
    for _ in range(3):
        abilities = place.store.probe((source,), results)
        assert abilities.conditional_put
        assert abilities.versioned_source
        assert abilities.sentence == ""
        assert abilities.notes == ()
    rows = all_versions(place.store, results)
    assert [row.ref.key for row in rows] == [".marea/probe"]


def test_probe_notes_each_source_without_versions(place: StorePlace) -> None:
    sources = place.create_bucket(True), place.create_bucket(False)
    abilities = place.store.probe(sources, place.create_bucket(False))
    assert not abilities.versioned_source
    assert [sources[1] in note for note in abilities.notes] == [True]


def test_probe_names_every_bucket_that_is_missing(place: StorePlace) -> None:
    source, missing = place.create_bucket(), (new_bucket_name(), new_bucket_name())
    with pytest.raises(StoreUnavailable) as refusal:
        place.store.probe((source, missing[0]), missing[1])
    for name in missing:
        assert f"'{name}' does not exist" in str(refusal.value)
    assert f"'{source}'" not in str(refusal.value)
