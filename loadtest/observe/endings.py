"""What became of each upload, by the listings and the records alone.

The store's own clock (`LastModified`) says when an upload and its record were there; the record
says when the platform took the job on, began and ended it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

from loadtest.collect import THREADS
from loadtest.judge_records import RECORDS_PREFIX
from loadtest.runs.data import Job, State


def read_endings(
    client: Any,
    source_bucket: str,
    results_bucket: str,
    prefix: str,
    *,
    began_at: float,
    calibration_prefix: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> list[Job]:
    """Every job of an upload under `prefix`, by when it was uploaded. Raises botocore's errors.

    `advance` is told how many records have been read.
    """
    uploaded = {
        (row["Key"], _version(row)): row["LastModified"].timestamp()
        for row in _rows(client, "list_object_versions", "Versions", source_bucket, prefix)
    }
    records = f"{RECORDS_PREFIX}{source_bucket}/{prefix}"
    rows = _rows(client, "list_objects_v2", "Contents", results_bucket, records)
    with ThreadPoolExecutor(THREADS) as threads:

        def read(row: dict[str, Any]) -> Job | None:
            body = client.get_object(Bucket=results_bucket, Key=row["Key"])["Body"].read()
            advance(1)
            return job_of(
                body,
                row["LastModified"].timestamp(),
                uploaded,
                source_bucket,
                prefix,
                began_at,
                calibration_prefix,
            )

        jobs = [job for job in threads.map(read, rows) if job is not None]
    return sorted(jobs, key=lambda job: (job.uploaded_s is None, job.uploaded_s or 0.0, job.job_id))


def job_of(
    body: bytes,
    recorded_at: float,
    uploaded: dict[tuple[str, str], float],
    source_bucket: str,
    prefix: str,
    began_at: float,
    calibration_prefix: str,
) -> Job | None:
    """The job of one record; None for what is none of this run's, or no record."""
    try:
        record = json.loads(body.decode("utf-8", "surrogateescape"))
        ref = record["ref"]
        key, version_id = str(ref["key"]), str(ref.get("version_id") or "")
        if ref["bucket"] != source_bucket or not key.startswith(prefix):
            return None
        state: State = record["state"]
        if state not in get_args(State):
            return None
        started_at = float(record.get("started_at") or 0.0)
        waited_s = (record.get("timings_s") or {}).get("waited")
        uploaded_at = uploaded.get((key, version_id))
        return Job(
            job_id=str(record["job_id"]),
            key=key,
            version_id=version_id,
            pipeline=str(record.get("pipeline", "")),
            pool=str(record.get("worker", "")).partition("@")[0],
            state=state,
            size_bytes=int(ref.get("size_bytes") or 0),
            uploaded_s=None if uploaded_at is None else uploaded_at - began_at,
            accepted_s=(
                started_at - float(waited_s) - began_at
                if started_at and waited_s is not None
                else None
            ),
            started_s=started_at - began_at if started_at else None,
            finished_s=float(record["finished_at"]) - began_at if started_at else None,
            recorded_s=recorded_at - began_at,
            worker=str(record.get("worker", "")),
            attempts=int(record.get("attempts") or 0),
            is_calibration=bool(calibration_prefix) and key.startswith(calibration_prefix),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _rows(client: Any, call: str, part: str, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(call).paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get(part, [])


def _version(row: dict[str, Any]) -> str:
    version_id = str(row.get("VersionId") or "")
    return "" if version_id == "null" else version_id
