"""Makes buckets, keeps their versions and connects their events, for `marea up` and tests.

Not part of the object store port: the processes never administer a store. In a cluster the
buckets are the operator's, or a job of the chart's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from marea.clock import Clock, SystemClock
from marea.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MINIO_KEPT, MINIO_DIRECT = "MAREA", "MAREA_DIRECT"
"""Names of the two targets of bucket events that `up.minio_server.webhook_environment` makes."""
RETRY_EVERY_S = 0.25
GIVE_UP_AFTER_S = 30.0
"""MinIO answers before its notification targets are ready: under a second when measured."""


def minio_webhook(name: str) -> str:
    """The ARN of MinIO's webhook target `name`."""
    return f"arn:minio:sqs::{name}:webhook"


class S3Admin:
    """Administers one store. Each call is idempotent, and tried again until it is accepted.

    Raises `StoreUnavailable` with the store's last answer after `give_up_after_s`.
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

    def create_bucket(self, bucket: str, *, versioned: bool) -> None:
        """Make the bucket exist; with `versioned`, every upload gets a version id."""
        self._until_accepted(f"create bucket {bucket!r}", lambda: self._create(bucket))
        if versioned:
            self.set_versioning(bucket, "Enabled")

    def set_versioning(self, bucket: str, status: Literal["Enabled", "Suspended"]) -> None:
        """Keep the versions of a bucket's keys from now on, or no longer."""
        self._until_accepted(
            f"set versioning of bucket {bucket!r}",
            lambda: self._client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": status}
            ),
        )

    def connect_bucket_events(
        self, bucket: str, targets: Sequence[str] = (MINIO_DIRECT, MINIO_KEPT)
    ) -> None:
        """Send the bucket's created events to each webhook of `targets`, replacing what was
        configured."""
        arns = [minio_webhook(name) for name in targets]
        self._until_accepted(
            f"connect the events of bucket {bucket!r} to {', '.join(arns)}",
            lambda: self._client.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [
                        {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]} for arn in arns
                    ]
                },
            ),
        )

    def _create(self, bucket: str) -> None:
        # AWS wants the region named everywhere but in the one it calls the default.
        location: dict[str, Any] = (
            {}
            if self._region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        )
        try:
            self._client.create_bucket(Bucket=bucket, **location)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise

    def _until_accepted(self, what: str, attempt: Callable[[], object]) -> None:
        deadline = monotonic() + self._give_up_after_s
        while True:
            try:
                attempt()
                return
            except (BotoCoreError, ClientError) as exc:
                if monotonic() >= deadline:
                    raise StoreUnavailable(f"could not {what}: {exc}") from exc
            self._clock.sleep(RETRY_EVERY_S)
