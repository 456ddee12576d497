"""Makes buckets, keeps their versions and connects their events: for `marea store`, `marea up`
and tests.

Not part of the object store port: the processes never administer a store. In a cluster the
buckets are the operator's, or a job of the chart's (`prepare.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from marea.clock import Clock, SystemClock
from marea.errors import MareaError, StoreUnavailable
from marea.settings import StoreSettings
from marea.storage.bucket_events import (
    connected_arns,
    is_same,
    merged_rules,
    minio_webhook,
)
from marea.storage.s3_errors import CREDENTIAL_CODES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MINIO_KEPT, MINIO_DIRECT = "MAREA", "MAREA_DIRECT"
"""Names of the two targets of bucket events that `up.minio_server.webhook_environment` makes."""
RETRY_EVERY_S = 0.25
GIVE_UP_AFTER_S = 30.0
"""MinIO answers before its notification targets are ready: under a second when measured."""

Change = Literal["created", "changed", "removed", "already there"]
T = TypeVar("T")


class NotSupported(MareaError):
    """The store does not know the call at all (501, 405)."""

    code = "store-call-not-supported"


class NotPermitted(MareaError):
    """The store knows the call and the access key may not use it."""

    code = "store-call-not-permitted"


class S3Admin:
    """Administers one store. Each call is idempotent, and tried again until it is accepted.

    Raises `StoreUnavailable` with the store's last answer after `give_up_after_s`, and
    `NotSupported` or `NotPermitted` at once.
    """

    def __init__(
        self,
        endpoint_url: str | None,
        access_key: str,
        secret_key: str,
        *,
        region: str = "us-east-1",
        clock: Clock | None = None,
        give_up_after_s: float = GIVE_UP_AFTER_S,
    ) -> None:
        self._clock = clock or SystemClock()
        self._give_up_after_s = give_up_after_s
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key or None,
            aws_secret_access_key=secret_key or None,
            region_name=region,
            config=Config(
                s3={"addressing_style": "path"},  # local endpoints have no wildcard DNS
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=3,
                read_timeout=10,
                retries={"total_max_attempts": 1},  # the retries are ours
            ),
        )
        self._region = region

    @classmethod
    def of(
        cls,
        settings: StoreSettings,
        clock: Clock,
        *,
        keys: tuple[str, str] | None = None,
        give_up_after_s: float = GIVE_UP_AFTER_S,
    ) -> Self:
        """For the store of `settings`, with its access key or with `keys` (id, secret)."""
        access_key, secret = keys or (settings.access_key, settings.secret_key.get_secret_value())
        return cls(
            settings.endpoint_url,
            access_key,
            secret,
            region=settings.region,
            clock=clock,
            give_up_after_s=give_up_after_s,
        )

    def trouble(self, bucket: str) -> str:
        """Why the store cannot be used at all, in a sentence; empty if it answers and knows the
        access key, whatever that may do and whether or not there is a `bucket`. One try."""
        try:
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        except ClientError as exc:
            code, status = _answer(exc)
            if code in CREDENTIAL_CODES:
                return (
                    f"the store does not know the access key, or its secret is another ({code}):"
                    " MAREA_STORE__ACCESS_KEY and MAREA_STORE__SECRET_KEY are what it was"
                    " started with, or what its operator gave out"
                )
            return f"the store answers {status} {code}" if status >= 500 else ""
        except NoCredentialsError:
            return (
                "there is no access key: set MAREA_STORE__ACCESS_KEY and MAREA_STORE__SECRET_KEY,"
                " each also as a file by …_FILE"
            )
        except BotoCoreError as exc:
            return f"the store does not answer: {exc}; look at MAREA_STORE__ENDPOINT_URL"
        return ""

    def has_bucket(self, bucket: str) -> bool:
        def look() -> bool:
            try:
                self._client.head_bucket(Bucket=bucket)
            except ClientError as exc:
                if _answer(exc)[1] == 404:
                    return False
                raise
            return True

        return self._until_accepted(f"look up bucket {bucket!r}", look)

    def create_bucket(self, bucket: str, *, versioned: bool) -> Change:
        """Make the bucket exist; with `versioned`, every upload gets a version id."""
        change = self._until_accepted(f"create bucket {bucket!r}", lambda: self._create(bucket))
        if versioned:
            self.set_versioning(bucket, "Enabled")
        return change

    def versioning(self, bucket: str) -> str:
        """`Enabled`, `Suspended`, or nothing if it never was."""
        return self._until_accepted(
            f"ask for the versioning of bucket {bucket!r}",
            lambda: self._client.get_bucket_versioning(Bucket=bucket).get("Status", ""),
        )

    def set_versioning(self, bucket: str, status: Literal["Enabled", "Suspended"]) -> None:
        """Keep the versions of a bucket's keys from now on, or no longer."""
        self._until_accepted(
            f"set versioning of bucket {bucket!r}",
            lambda: self._client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": status}
            ),
        )

    def rules(self, bucket: str) -> Mapping[str, Any]:
        """The bucket's notification rules, whoever made them."""
        return self._until_accepted(
            f"read the notification rules of bucket {bucket!r}",
            lambda: dict(self._client.get_bucket_notification_configuration(Bucket=bucket)),
        )

    def connect_bucket_events(
        self, bucket: str, targets: Sequence[str] = (MINIO_DIRECT, MINIO_KEPT)
    ) -> Change:
        """Send the bucket's created events to each of MinIO's webhooks `targets`, and to no
        other that we connected before; other people's rules stay."""
        return self.connect_events(bucket, [minio_webhook(name) for name in targets])

    def connect_events(self, bucket: str, arns: Sequence[str]) -> Change:
        """As `connect_bucket_events`, for targets of any kind."""
        before = self.rules(bucket)
        wanted = merged_rules(before, arns)
        if is_same(before, wanted):
            return "already there"
        self._until_accepted(
            f"connect the events of bucket {bucket!r} to {', '.join(arns) or 'nobody'}",
            lambda: self._client.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration=wanted,  # type: ignore[arg-type]  # as it was read
            ),
        )
        if not arns:
            return "removed"
        return "changed" if connected_arns(before) else "created"

    def _create(self, bucket: str) -> Change:
        # AWS wants the region named everywhere but in the one it calls the default.
        location: dict[str, Any] = (
            {}
            if self._region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        )
        try:
            self._client.create_bucket(Bucket=bucket, **location)
        except ClientError as exc:
            if _answer(exc)[0] != "BucketAlreadyOwnedByYou":
                raise
            return "already there"
        return "created"

    def _until_accepted(self, what: str, attempt: Callable[[], T]) -> T:
        deadline = monotonic() + self._give_up_after_s
        while True:
            try:
                return attempt()
            except (BotoCoreError, ClientError) as exc:
                code, status = _answer(exc) if isinstance(exc, ClientError) else ("", 0)
                if status in (405, 501) or code == "NotImplemented":
                    raise NotSupported(f"the store cannot {what} ({code or status})") from exc
                if code in ("AccessDenied", "403"):
                    raise NotPermitted(
                        f"the store does not let this access key {what} ({code})"
                    ) from exc
                if monotonic() >= deadline:
                    raise StoreUnavailable(f"could not {what}: {exc}") from exc
            self._clock.sleep(RETRY_EVERY_S)


def _answer(exc: ClientError) -> tuple[str, int]:
    """S3's code and the HTTP status. MinIO tells the code of a HEAD in a header."""
    answer = exc.response.get("ResponseMetadata", {})
    told = answer.get("HTTPHeaders", {}).get("x-minio-error-code")
    code = told or str(exc.response.get("Error", {}).get("Code", ""))
    return code, int(answer.get("HTTPStatusCode", 0))
