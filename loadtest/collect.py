"""Reads the final listings and bodies from the store; the only file here that knows S3.

Takes one look, page by page, after the run has settled. Bodies of results are downloaded whole
and reduced to their hash and shape. Raises botocore's errors as they come: a store that can't
be read makes the check unusable, never a pass.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.client import Config

from loadtest.evidence import RecordClaim, ResultVersion, SourceVersion
from loadtest.image_header import shape_of
from loadtest.judge_records import RECORDS_PREFIX

RESERVED_PREFIX = ".marea/"
THREADS = 8
"""Parallel downloads; the check is bound by round trips, not by bandwidth."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is and how to sign; `endpoint_url` None = AWS."""

    endpoint_url: str | None
    access_key: str
    secret_key: str
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything that `judge` needs besides the history."""

    source_versions: list[SourceVersion]
    result_versions: list[ResultVersion]
    records: list[RecordClaim]


def open_client(address: StoreAddress, connections: int = 2 * THREADS) -> Any:
    """A boto3 S3 client, safe to share between threads; it keeps so many `connections` open."""
    return boto3.client(
        "s3",
        endpoint_url=address.endpoint_url,
        aws_access_key_id=address.access_key or None,
        aws_secret_access_key=address.secret_key or None,
        region_name=address.region,
        config=Config(
            s3={"addressing_style": "path"},
            # Default checksums in trailers break several S3-compatible stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=connections,
        ),
    )


def collect(
    client: Any, source_buckets: Sequence[str], results_bucket: str, prefix: str = ""
) -> Collected:
    """One look at all of it, or at the uploads under `prefix` with their results and records: a
    bucket that others use too. The caller waits for the run to settle first."""
    under = [prefix, *(f"{RECORDS_PREFIX}{bucket}/{prefix}" for bucket in source_buckets)]
    with ThreadPoolExecutor(THREADS) as threads:
        rows = [
            row
            for each in (under if prefix else [""])
            for row in _list_versions(client, results_bucket, each)
        ]
        records = [row for row in rows if row["Key"].startswith(RECORDS_PREFIX)]
        results = [row for row in rows if not row["Key"].startswith(RESERVED_PREFIX)]
        writes = Counter(row["Key"] for row in records if not row["is_delete_marker"])
        current = [row for row in records if row["IsLatest"] and not row["is_delete_marker"]]
        return Collected(
            source_versions=[
                _source_version(bucket, row)
                for bucket in source_buckets
                for row in _list_versions(client, bucket, prefix)
            ],
            result_versions=list(
                threads.map(lambda row: _result_version(client, results_bucket, row), results)
            ),
            records=list(
                threads.map(
                    lambda row: _record(client, results_bucket, row["Key"], writes[row["Key"]]),
                    current,
                )
            ),
        )


def _list_versions(client: Any, bucket: str, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Versions and delete markers in one sequence: by key, newest version first.

    The API answers them in two lists. The order of versions is the listing's own and never
    that of clocks; of the markers only the current one has a place that matters, the head of
    its key, and the others follow the key's versions of the page.
    """
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        versions = [{**row, "is_delete_marker": False} for row in page.get("Versions", [])]
        markers = [{**row, "is_delete_marker": True} for row in page.get("DeleteMarkers", [])]
        heads = [row for row in markers if row["IsLatest"]]
        others = [row for row in markers if not row["IsLatest"]]
        yield from sorted(  # stable: within a key the order of the three lists stays
            heads + versions + others,
            key=lambda row: row["Key"].encode("utf-8", "surrogateescape"),
        )


def _version_id(row: dict[str, Any]) -> str:
    version_id = row.get("VersionId") or ""
    return "" if version_id == "null" else str(version_id)


def _source_version(bucket: str, row: dict[str, Any]) -> SourceVersion:
    return SourceVersion(
        bucket=bucket,
        key=row["Key"],
        version_id=_version_id(row),
        etag=str(row.get("ETag", "")).strip('"'),
        size_bytes=int(row.get("Size", 0)),
        is_latest=bool(row["IsLatest"]),
        is_delete_marker=row["is_delete_marker"],
    )


def _result_version(client: Any, bucket: str, row: dict[str, Any]) -> ResultVersion:
    if row["is_delete_marker"]:
        return ResultVersion(
            row["Key"], _version_id(row), "", 0, bool(row["IsLatest"]), is_delete_marker=True
        )
    version = {"VersionId": row["VersionId"]} if _version_id(row) else {}
    answer = client.get_object(Bucket=bucket, Key=row["Key"], **version)
    body = answer["Body"].read()
    return ResultVersion(
        key=row["Key"],
        version_id=_version_id(row),
        etag=str(row["ETag"]).strip('"'),
        size_bytes=len(body),
        is_latest=bool(row["IsLatest"]),
        metadata={name.lower(): value for name, value in answer["Metadata"].items()},
        sha256=hashlib.sha256(body).hexdigest(),
        shape=shape_of(body),
    )


def _record(client: Any, bucket: str, name: str, stored_versions: int) -> RecordClaim:
    body = client.get_object(Bucket=bucket, Key=name)["Body"].read()
    try:
        parsed = json.loads(body.decode("utf-8", "surrogateescape"))
    except ValueError:
        parsed = None
    return RecordClaim(name, parsed if isinstance(parsed, dict) else None, stored_versions)
