"""`S3ObjectStore`: the object store port on boto3, for AWS and what speaks like it.

A client (`s3_client.py`) belongs to one process: it is made on first use and again
after a fork, since two processes must not share its sockets. boto3 retries what looks like a
hiccup, PUTs included: a conditional PUT whose reply was lost then meets its own write and ends
`PreconditionFailed`. Callers tell that apart by the job id in what they find (design rule 3).

Named differences between servers that are not hidden here: MinIO never lists what lies below
an object (`a/b` while `a` exists), stores `/x` as `x`, and adds no delete marker on top of
another; moto forgets versions in suspended buckets and fails to list keys with controls.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from marea.clock import Clock
from marea.errors import (
    ObjectChanged,
    ObjectGone,
    PermanentError,
    StoreUnavailable,
)
from marea.messages.objects import ObjectRef, normal_version_id
from marea.settings import StoreSettings
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
from marea.storage.s3_client import new_client
from marea.storage.s3_errors import Refusal, Request, error_of_refusal
from marea.storage.s3_listing import parse_versions, start_of_versions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3ObjectStore:
    """Safe for use by several threads and after a fork."""

    def __init__(self, settings: StoreSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._clients: dict[str | None, S3Client] = {}
        self._clients_pid = 0
        self._known_buckets: set[str] = set()

    def get(self, ref: ObjectRef, *, max_bytes: int | None = None) -> ObjectBody:
        with self._asking(_reading(ref)) as client:
            reply = client.get_object(Bucket=ref.bucket, Key=ref.key, **_pinned(ref))
            body = reply["Body"]
            try:
                length = reply.get("ContentLength")
                if max_bytes is not None and (length or 0) > max_bytes:
                    raise file_too_large(ref.bucket, ref.key, max_bytes)
                # A body shorter than announced raises; one of unknown length is read no
                # further than it takes to see that it is too long.
                unannounced = length is None and max_bytes is not None
                data = body.read((max_bytes or 0) + 1) if unannounced else body.read()
            finally:
                body.close()  # of a body not read to its end this ends the connection too
        if max_bytes is not None and len(data) > max_bytes:
            raise file_too_large(ref.bucket, ref.key, max_bytes)
        return ObjectBody(_head(ref.bucket, ref.key, reply, len(data)), data)

    def head(self, bucket: str, key: str) -> ObjectHead | None:
        try:
            return self._read_head(ObjectRef(bucket, key))
        except ObjectGone:
            return None

    def head_version(self, ref: ObjectRef) -> ObjectHead | None:
        try:
            return self._read_head(ref)
        except (ObjectGone, ObjectChanged):
            return None

    def tags(self, ref: ObjectRef) -> Mapping[str, str]:
        permission = "s3:GetObjectVersionTagging" if ref.version_id else "s3:GetObjectTagging"
        request = Request("read", permission, ref.bucket, ref.key, ref.version_id)
        with self._asking(request) as client:
            try:
                reply = client.get_object_tagging(Bucket=ref.bucket, Key=ref.key, **_version(ref))
            except client.exceptions.ClientError as exc:
                if exc.response["Error"].get("Code") in ("NoSuchTagSet", "NotImplemented"):
                    return {}
                raise
        if ref.etag and not ref.version_id:
            self._read_head(ref)  # a request for tags takes no If-Match
        return {tag["Key"]: tag["Value"] for tag in reply["TagSet"]}

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
        require_metadata(metadata or {})
        headers: dict[str, Any] = {}
        if condition.if_absent:
            headers["IfNoneMatch"] = "*"
        if condition.if_etag:
            headers["IfMatch"] = f'"{condition.if_etag}"'
        request = Request("write", "s3:PutObject", bucket, key, is_conditional=bool(headers))
        with self._asking(request) as client:
            reply = client.put_object(
                Bucket=bucket,
                Key=key,
                Body=data,
                ContentType=content_type,
                Metadata={name.lower(): value for name, value in (metadata or {}).items()},
                **headers,
            )
        version_id = normal_version_id(reply.get("VersionId"))
        return ObjectRef(bucket, key, version_id, reply["ETag"].strip('"'), len(data))

    def delete(self, bucket: str, key: str) -> None:
        with self._asking(Request("delete", "s3:DeleteObject", bucket, key)) as client:
            client.delete_object(Bucket=bucket, Key=key)

    def list_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        after: VersionMarker | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        require_page_limit(limit)
        start: dict[str, Any] = start_of_versions(after)
        while True:
            with self._asking(Request("list", "s3:ListBucketVersions", bucket)) as client:
                reply: dict[str, Any] = dict(
                    client.list_object_versions(
                        Bucket=bucket, Prefix=prefix, MaxKeys=limit, **start
                    )
                )
            try:
                rows = parse_versions(bucket, reply["Listing"], after)
            except ValueError as exc:
                raise StoreUnavailable(f"The listing of {bucket} is unreadable: {exc}") from exc
            # Markers are made of the last row and not the store's own: MinIO puts the id of a
            # cached listing into its key marker, which would be old when a checkpoint uses it.
            if not _has_more(bucket, reply):
                return VersionPage(rows, None)
            if rows:
                last = rows[-1].ref
                return VersionPage(rows, VersionMarker(last.key, last.version_id or "null"))
            start = start_of_versions(
                VersionMarker(reply["NextKeyMarker"], reply.get("NextVersionIdMarker", ""))
            )

    def list_objects(
        self, bucket: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> ObjectPage:
        require_page_limit(limit)
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        while True:
            with self._asking(Request("list", "s3:ListBucket", bucket)) as client:
                reply = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=limit, **start)
            rows = tuple(
                ListedObject(
                    key=row["Key"],
                    etag=row["ETag"].strip('"'),
                    size_bytes=row["Size"],
                    last_modified=row["LastModified"].timestamp(),
                )
                for row in reply.get("Contents", [])
            )
            if not _has_more(bucket, reply):
                return ObjectPage(rows, None)
            if rows:
                return ObjectPage(rows, rows[-1].key)
            start = {"ContinuationToken": reply["NextContinuationToken"]}

    def is_versioned(self, bucket: str) -> bool:
        request = Request("ask for the versioning of", "s3:GetBucketVersioning", bucket)
        with self._asking(request) as client:
            return client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"

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
        require_metadata(metadata or {})
        if "${filename}" in key:
            raise PermanentError(
                f"The key {key!r} holds ${{filename}}, which stores replace in form uploads; use"
                " a fixed key.",
                code=KEY_NOT_ACCEPTED,
            )
        fields = {f"x-amz-meta-{n.lower()}": v for n, v in (metadata or {}).items()}
        if content_type is not None:
            fields["Content-Type"] = content_type
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        conditions.append(["content-length-range", min_bytes, max_bytes])
        address = self._settings.public_endpoint_url or self._settings.endpoint_url
        expires_at = self._clock.now() + expires_s
        with self._asking(Request("sign", "s3:PutObject", bucket, key), address) as client:
            form = client.generate_presigned_post(
                bucket, key, Fields=fields, Conditions=conditions, ExpiresIn=expires_s
            )
        return PresignedPost(form["url"], form["fields"], expires_at)

    def probe(self, source_buckets: tuple[str, ...], results_bucket: str) -> StoreAbilities:
        wanted = (*source_buckets, results_bucket)
        problems = [missing_bucket(name) for name in wanted if not self._has_bucket(name)]
        if problems:
            raise StoreUnavailable(" ".join(problems))
        return probe_abilities(self, self._settings.reserved_prefix, source_buckets, results_bucket)

    def _read_head(self, ref: ObjectRef) -> ObjectHead:
        try:
            with self._asking(_reading(ref)) as client:
                reply = client.head_object(Bucket=ref.bucket, Key=ref.key, **_pinned(ref))
        except ObjectGone:
            # HEAD is answered without a body: no bucket looks like no object, and taking one
            # for the other would end every upload of a mistyped bucket as gone.
            if ref.bucket not in self._known_buckets and not self._has_bucket(ref.bucket):
                raise StoreUnavailable(missing_bucket(ref.bucket)) from None
            raise
        return _head(ref.bucket, ref.key, reply, reply["ContentLength"])

    def _has_bucket(self, bucket: str) -> bool:
        with self._asking(Request("look up", "s3:ListBucket", bucket)) as client:
            try:
                client.head_bucket(Bucket=bucket)
            except client.exceptions.ClientError as exc:
                if _refusal(exc).status == 404:
                    return False
                raise
        self._known_buckets.add(bucket)
        return True

    @contextmanager
    def _asking(self, request: Request, address: str | None = None) -> Iterator[S3Client]:
        """A client for one request; what it raises inside leaves as an error of Marea's."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError

        if request.key is not None:
            require_key(request.key)
        try:
            yield self._client(address or self._settings.endpoint_url)
        except ClientError as exc:
            raise error_of_refusal(request, _refusal(exc)) from exc
        except NoCredentialsError as exc:
            raise StoreUnavailable(
                "No credentials for the store: set MAREA_STORE__ACCESS_KEY and"
                " MAREA_STORE__SECRET_KEY, or give the process a role."
            ) from exc
        except (BotoCoreError, ResponseParserError, HTTPError, OSError) as exc:
            raise StoreUnavailable(
                f"The store did not {request.verb} {request.target}: {exc}"
            ) from exc

    def _client(self, address: str | None) -> S3Client:
        if self._clients_pid != os.getpid():
            self._clients, self._clients_pid = {}, os.getpid()
        client = self._clients.get(address)
        if client is None:
            # Two threads may both come here; one client is then thrown away unused, which is
            # cheaper than a lock that a fork can copy in its locked state.
            client = self._clients[address] = new_client(self._settings, address)
        return client


def _has_more(bucket: str, page: Mapping[str, Any]) -> bool:
    # boto3 reads an empty body, or a proxy's page in good XML, as a listing without rows. For
    # a sweep that would mean that nothing is recorded.
    if "IsTruncated" not in page:
        raise StoreUnavailable(f"The store's answer for {bucket} is not a listing.")
    return bool(page["IsTruncated"])


def _reading(ref: ObjectRef) -> Request:
    permission = "s3:GetObjectVersion" if ref.version_id else "s3:GetObject"
    return Request("read", permission, ref.bucket, ref.key, ref.version_id)


def _pinned(ref: ObjectRef) -> dict[str, Any]:
    """Arguments that hold a GET or HEAD to exactly `ref`."""
    if ref.version_id:
        return _version(ref)
    if not ref.etag:
        return {}
    if not (ref.etag.isascii() and ref.etag.isprintable()):
        raise ObjectChanged(f"{ref.bucket}/{ref.key}: no content has the ETag {ref.etag!r}.")
    return {"IfMatch": f'"{ref.etag}"'}


def _version(ref: ObjectRef) -> dict[str, Any]:
    if not (ref.version_id.isascii() and ref.version_id.isprintable()):
        raise ObjectGone(f"{ref.bucket}/{ref.key}: no store has a version {ref.version_id!r}.")
    return {"VersionId": ref.version_id} if ref.version_id else {}


def _head(bucket: str, key: str, reply: Any, size_bytes: int) -> ObjectHead:
    version_id = normal_version_id(reply.get("VersionId"))
    etag = reply.get("ETag", "").strip('"')
    return ObjectHead(
        ref=ObjectRef(bucket, key, version_id, etag, size_bytes),
        last_modified=reply["LastModified"].timestamp(),
        content_type=reply.get("ContentType", ""),
        metadata={name.lower(): value for name, value in reply.get("Metadata", {}).items()},
    )


def _refusal(exc: Any) -> Refusal:
    """Of a botocore ClientError. MinIO tells a HEAD's error code in a header."""
    answer = exc.response.get("ResponseMetadata", {})
    error = exc.response.get("Error", {})
    headers = answer.get("HTTPHeaders", {})
    code = headers.get("x-minio-error-code") or str(error.get("Code", ""))
    return Refusal(int(answer.get("HTTPStatusCode", 0)), code, str(error.get("Message", "")))
