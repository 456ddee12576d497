"""Random histories, told to the memory store and to MinIO: both must show the same.

Version ids differ, so each is replaced by the number of the write that made it. Times are not
compared. What lies below an object is left out: MinIO does not list it (a named difference).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from object_stores import MemoryPlace, S3Place, StorePlace, all_keys, all_versions, s3_settings

from marea.errors import MareaError
from marea.messages.objects import ObjectRef
from marea.storage.object_store import IF_ABSENT, if_etag
from marea.up.minio_server import MinioServer

KEYS = ("a", "b/c d", "é")
KEY = st.sampled_from(KEYS)
DATA = st.sampled_from([b"", b"one", b"two"])

OPERATION = st.one_of(
    st.tuples(st.just("put"), KEY, DATA),
    st.tuples(st.just("put if absent"), KEY, DATA),
    st.tuples(st.just("put if current"), KEY, DATA),
    st.tuples(st.just("put if seen"), KEY, DATA, st.integers(0, 20)),
    st.tuples(st.just("delete"), KEY),
    st.tuples(st.just("delete version"), st.integers(0, 20)),
    st.tuples(st.just("versioning"), st.booleans()),
)


class Teller:
    """Tells one store the operations and writes down what it shows."""

    def __init__(self, place: StorePlace, start: str) -> None:
        self.place = place
        self.bucket = place.create_bucket(versioned=start != "unversioned")
        self.refs: list[ObjectRef] = []
        self.names: dict[tuple[str, str], str] = {}
        if start == "suspended":
            self._put("a", b"one")
            place.set_versioning(self.bucket, False)

    def tell(self, operation: tuple[Any, ...]) -> Any:
        store = self.place.store
        match operation:
            case ("put", key, data):
                return self._put(key, data)
            case ("put if absent", key, data):
                return self._put(key, data, condition=IF_ABSENT)
            case ("put if current", key, data):
                head = store.head(self.bucket, key)
                etag = head.ref.etag if head else "0" * 32
                return self._put(key, data, condition=if_etag(etag))
            case ("put if seen", key, data, number):
                etag = self.refs[number % len(self.refs)].etag if self.refs else "0" * 32
                return self._put(key, data, condition=if_etag(etag))
            case ("delete", key):
                return store.delete(self.bucket, key)
            case ("delete version", number):
                if self.refs:
                    self.place.delete_version(self.refs[number % len(self.refs)])
                return None
            case ("versioning", enabled):
                return self.place.set_versioning(self.bucket, enabled)
        raise AssertionError(operation)

    def _put(self, key: str, data: bytes, **options: Any) -> Any:
        try:
            ref = self.place.store.put(self.bucket, key, data, **options)
        except MareaError as exc:
            return exc.code
        self.refs.append(ref)
        self.names.setdefault((key, ref.version_id), f"write {len(self.refs)}")
        return self._shown(ref)

    def observations(self, limit: int) -> Iterator[Any]:
        store = self.place.store
        for row in all_versions(store, self.bucket, limit=limit):
            shown = "marker" if row.is_delete_marker else self._shown(row.ref)
            yield row.ref.key, shown, row.is_latest
        yield all_keys(store, self.bucket, limit=limit)
        for key in KEYS:
            head = store.head(self.bucket, key)
            yield key, head and (self._shown(head.ref), head.content_type, dict(head.metadata))
        for ref in self.refs:
            yield self._attempt(lambda ref=ref: store.get(ref))
            head = store.head_version(ref)
            yield head and self._shown(head.ref)
        yield store.is_versioned(self.bucket)

    def _attempt(self, read: Any) -> Any:
        try:
            body = read()
        except MareaError as exc:
            return exc.code
        return body.data, self._shown(body.head.ref)

    def _shown(self, ref: ObjectRef) -> Any:
        # The null version is one name for many writes.
        name = self.names.get((ref.key, ref.version_id), "?") if ref.version_id else "null"
        return ref.key, name, ref.etag, ref.size_bytes


@pytest.mark.timeout(300)
@pytest.mark.parametrize("start", ["versioned", "unversioned", "suspended"])
def test_memory_and_minio_show_the_same_after_any_history(minio: MinioServer, start: str) -> None:
    real = S3Place("minio", s3_settings(minio.endpoint_url, minio.access_key, minio.secret_key))

    # No shrinking: each step of it costs a bucket on the server.
    @settings(
        max_examples=25,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        operations=st.lists(OPERATION, min_size=3, max_size=20),
        limit=st.sampled_from([1, 2, 1000]),
    )
    def check(operations: list[tuple[Any, ...]], limit: int) -> None:
        memory, server = Teller(MemoryPlace(), start), Teller(real, start)
        for operation in operations:
            assert memory.tell(operation) == server.tell(operation), operation
        assert list(memory.observations(limit)) == list(server.observations(limit))

    check()
