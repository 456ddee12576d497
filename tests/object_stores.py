"""Object stores for tests, each with what a client and an administrator may do to it.

`MemoryPlace` and `S3Place` offer the same: `store` (the port), and uploads with tags, deletes
of single versions and buckets, which the port has not.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import boto3
import pytest
from botocore.config import Config

from marea.clock import SystemClock
from marea.messages.objects import ObjectRef, normal_version_id
from marea.settings import StoreSettings
from marea.storage.memory import MemoryObjectStore
from marea.storage.object_store import ListedVersion, ObjectStore
from marea.storage.s3 import S3ObjectStore


class StorePlace(Protocol):
    """A store and its buckets."""

    name: str

    @property
    def store(self) -> ObjectStore: ...

    def create_bucket(self, versioned: bool = True) -> str: ...

    def set_versioning(self, bucket: str, versioned: bool) -> None: ...

    def upload(
        self, bucket: str, key: str, data: bytes, tags: Mapping[str, str] | None = None
    ) -> ObjectRef: ...

    def delete_version(self, ref: ObjectRef) -> None: ...


class MemoryPlace:
    name = "memory"

    def __init__(self) -> None:
        self.store = MemoryObjectStore(SystemClock())

    def create_bucket(self, versioned: bool = True) -> str:
        name = new_bucket_name()
        self.store.create_bucket(name, versioned)
        return name

    def set_versioning(self, bucket: str, versioned: bool) -> None:
        self.store.set_versioning(bucket, versioned)

    def upload(
        self, bucket: str, key: str, data: bytes, tags: Mapping[str, str] | None = None
    ) -> ObjectRef:
        return self.store.upload(bucket, key, data, tags=tags)

    def delete_version(self, ref: ObjectRef) -> None:
        self.store.delete_version(ref)


class S3Place:
    """A real server. Its client is boto3's own, so that uploads are not made by the adapter."""

    def __init__(self, name: str, settings: StoreSettings) -> None:
        self.name = name
        self.settings = settings
        self.store = S3ObjectStore(settings, SystemClock())
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key.get_secret_value(),
            region_name=settings.region,
            config=Config(s3={"addressing_style": "path"}),
        )

    def create_bucket(self, versioned: bool = True) -> str:
        name = new_bucket_name()
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.set_versioning(name, True)
        return name

    def set_versioning(self, bucket: str, versioned: bool) -> None:
        status = "Enabled" if versioned else "Suspended"
        self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def upload(
        self, bucket: str, key: str, data: bytes, tags: Mapping[str, str] | None = None
    ) -> ObjectRef:
        reply = self.client.put_object(
            Bucket=bucket, Key=key, Body=data, Tagging=urlencode(tags or {})
        )
        version_id = normal_version_id(reply.get("VersionId"))
        return ObjectRef(bucket, key, version_id, reply["ETag"].strip('"'), len(data))

    def delete_version(self, ref: ObjectRef) -> None:
        self.client.delete_object(
            Bucket=ref.bucket, Key=ref.key, VersionId=ref.version_id or "null"
        )


KINDS = ("memory", "minio", "moto")


def place_of(request: pytest.FixtureRequest) -> StorePlace:
    """The store that the fixture's parameter, one of `KINDS`, names."""
    if request.param == "memory":
        return MemoryPlace()
    if request.param == "minio":
        server = request.getfixturevalue("minio")
        settings = s3_settings(server.endpoint_url, server.access_key, server.secret_key)
        return S3Place("minio", settings)
    return S3Place("moto", s3_settings(request.getfixturevalue("moto_url")))


def md5(data: bytes) -> str:
    """The ETag of what was uploaded in one piece."""
    return hashlib.md5(data).hexdigest()


def new_bucket_name() -> str:
    return f"test-{uuid.uuid4().hex[:16]}"


def s3_settings(endpoint_url: str, access_key: str = "any", secret_key: str = "any") -> Any:
    """Settings of a local server that is not waited for long."""
    return StoreSettings.model_validate(
        {
            "endpoint_url": endpoint_url,
            "access_key": access_key,
            "secret_key": secret_key,
            "connect_timeout_s": 2,
            "read_timeout_s": 10,
        }
    )


def all_versions(
    store: ObjectStore, bucket: str, *, prefix: str = "", limit: int = 1000
) -> list[ListedVersion]:
    """Every page of the listing; at most 1,000 of them."""
    rows: list[ListedVersion] = []
    page = store.list_versions(bucket, prefix=prefix, limit=limit)
    for _ in range(1000):
        assert len(page.rows) <= limit
        rows += page.rows
        if page.next is None:
            return rows
        page = store.list_versions(bucket, prefix=prefix, after=page.next, limit=limit)
    raise AssertionError("the listing does not end")


def all_keys(store: ObjectStore, bucket: str, *, prefix: str = "", limit: int = 1000) -> list[str]:
    """The keys of every page of the listing of current objects."""
    keys: list[str] = []
    page = store.list_objects(bucket, prefix=prefix, limit=limit)
    for _ in range(1000):
        assert len(page.rows) <= limit
        keys += [row.key for row in page.rows]
        if page.next_after is None:
            return keys
        page = store.list_objects(bucket, prefix=prefix, after=page.next_after, limit=limit)
    raise AssertionError("the listing does not end")
