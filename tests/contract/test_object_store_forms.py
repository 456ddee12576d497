"""What the object store port promises of presigned form uploads."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import pytest
from object_stores import KINDS, StorePlace, all_keys, place_of

from marea.errors import (
    PermanentError,
)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> StorePlace:
    return place_of(request)


def test_a_presigned_form_names_its_limits(place: StorePlace) -> None:
    bucket = place.create_bucket()
    before = time.time()
    form = place.store.presigned_post(
        bucket,
        "in/é.jpg",
        expires_s=60,
        min_bytes=1,
        max_bytes=10,
        content_type="image/jpeg",
        metadata={"Upload-Id": "u1"},
    )
    assert form.fields["key"] == "in/é.jpg"
    assert form.fields["Content-Type"] == "image/jpeg"
    assert form.fields["x-amz-meta-upload-id"] == "u1"
    assert 59 < form.expires_at - before < 70
    with pytest.raises(PermanentError):
        place.store.presigned_post(bucket, "a/${filename}", expires_s=60, min_bytes=1, max_bytes=9)


def test_a_presigned_form_is_held_to_size_and_key_by_the_store(place: StorePlace) -> None:
    if place.name != "minio":
        pytest.skip("only MinIO checks the form")
    bucket = place.create_bucket()
    form = place.store.presigned_post(
        bucket,
        "in/photo.jpg",
        expires_s=60,
        min_bytes=2,
        max_bytes=10,
        content_type="image/jpeg",
        metadata={"upload-id": "u1"},
    )
    fields = dict(form.fields)
    assert post_form(form.url, fields, b"x" * 11) >= 400
    assert post_form(form.url, fields, b"x") >= 400
    assert post_form(form.url, {**fields, "key": "in/other.jpg"}, b"xxx") == 403
    assert post_form(form.url, {**fields, "Content-Type": "text/html"}, b"xxx") == 403
    assert all_keys(place.store, bucket) == []
    assert post_form(form.url, fields, b"xxx") == 204
    head = place.store.head(bucket, "in/photo.jpg")
    assert head is not None
    assert head.content_type == "image/jpeg"
    assert dict(head.metadata) == {"upload-id": "u1"}


def post_form(url: str, fields: dict[str, str], data: bytes) -> int:
    """The status that a browser's form upload gets."""
    boundary = "marea-boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts.append(
        f"--{boundary}\r\nContent-Disposition: form-data;".encode()
        + b' name="file"; filename="f"\r\n\r\n'
    )
    body = b"".join(parts) + data + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as exc:
        return exc.code
