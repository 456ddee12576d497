"""Watches the results bucket until every upload has come to its end, or time is up.

By listing alone: Marea is never asked how it is getting on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from loadtest.demo.corpus import CorpusFile
from loadtest.evidence import expected_job_id
from loadtest.history import Operation
from loadtest.judge_records import RECORDS_PREFIX, SEPARATOR

LOOK_S = 0.25


@dataclass(slots=True)
class Ending:
    """One upload and what has become of it."""

    file: CorpusFile
    put: Operation
    state: str = ""
    """As its record says; "" = no record yet, `unrouted` = none is wanted."""
    code: str = ""
    reason: str = ""
    took_s: float | None = None
    """From the store's answer to the PUT to the last of record and results, by its clock."""
    results: dict[str, bytes] = field(default_factory=dict)
    problem: str = ""
    """What is wrong with it, for a person; "" = nothing."""

    @property
    def out_bytes(self) -> int:
        return sum(map(len, self.results.values()))


def wait_for_endings(
    client: Any,
    results_bucket: str,
    endings: Sequence[Ending],
    *,
    timeout_s: float,
    progress: Callable[[int], None],
    is_alive: Callable[[], None],
) -> list[Ending]:
    """Fill `endings`; returns those that did not end. `is_alive` raises to give up early."""
    open_endings = []
    for ending in endings:
        if ending.put.outcome == "failed":
            ending.problem = "the store refused the upload"
        elif ending.file.oracle == "unrouted":
            ending.state = "unrouted"
        else:
            open_endings.append(ending)
    deadline = time.monotonic() + timeout_s
    while open_endings:
        listed = _list_objects(client, results_bucket)
        records = {
            name.rpartition(SEPARATOR)[2]: name
            for name in listed
            if name.startswith(RECORDS_PREFIX)
        }
        still_open = []
        for ending in open_endings:
            if not _settle(client, results_bucket, ending, listed, records):
                still_open.append(ending)
        open_endings = still_open
        progress(len(endings) - len(open_endings))
        if open_endings and time.monotonic() > deadline:
            return open_endings
        if open_endings:
            is_alive()
            time.sleep(LOOK_S)
    return []


def _settle(
    client: Any,
    bucket: str,
    ending: Ending,
    listed: dict[str, datetime],
    records: dict[str, str],
) -> bool:
    """Whether the upload has ended; reads its record and results once it has."""
    put, pipeline = ending.put, ending.file.pipeline
    identity = put.version_id or f"etag:{put.etag}"
    job_id = expected_job_id(put.bucket, put.key, identity, pipeline)
    name = records.get(f"{pipeline}.{job_id}")
    keys = [result.key for result in ending.file.expected]
    missing = [key for key in keys if key not in listed]
    if name is None:
        ending.problem = f"no record; {len(keys) - len(missing)} of {len(keys)} results are there"
        return False
    body = json.loads(client.get_object(Bucket=bucket, Key=name)["Body"].read())
    ending.state, ending.code = str(body.get("state")), str(body.get("code") or "")
    ending.reason = str(body.get("reason") or "")
    if ending.state == "done" and missing:
        ending.problem = f"recorded as done, but {missing[0]} is missing"
        return False
    ending.problem = ""
    moments = [listed[name]]
    if ending.state == "done":
        moments += [listed[key] for key in keys]
        ending.results = {
            key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys
        }
    if put.completed_at is not None:
        last = max(moment.timestamp() for moment in moments)
        ending.took_s = max(0.0, last - put.completed_at)
    return True


def _list_objects(client: Any, bucket: str) -> dict[str, datetime]:
    """Key and time of everything in the bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {row["Key"]: row["LastModified"] for page in pages for row in page.get("Contents", [])}
