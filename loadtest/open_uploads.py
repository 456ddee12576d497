"""Which uploads of a run are not over yet: by the listings alone, so that Marea is not asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadtest.evidence import expected_job_id
from loadtest.history import Operation
from loadtest.judge_records import RECORDS_PREFIX, SEPARATOR


def open_uploads(
    client: Any,
    history: Sequence[Operation],
    source_bucket: str,
    results_bucket: str,
    prefix: str = "",
) -> list[str]:
    """Listed versions under `prefix` that have no record yet, as `key@version`. Raises botocore's
    errors.

    Records are listed first: a version that comes meanwhile is open, one that ends meanwhile is
    over at the next look.
    """
    pipelines = {operation.key: operation.expected_pipelines for operation in history}
    recorded = _recorded_ids(client, results_bucket, f"{RECORDS_PREFIX}{source_bucket}/{prefix}")
    pages = client.get_paginator("list_object_versions").paginate(
        Bucket=source_bucket, Prefix=prefix
    )
    return [
        f"{row['Key']}@{row['VersionId']}"
        for page in pages
        for row in page.get("Versions", [])
        for pipeline in pipelines.get(row["Key"], ())
        if expected_job_id(source_bucket, row["Key"], row["VersionId"], pipeline) not in recorded
    ]


def _recorded_ids(client: Any, results_bucket: str, prefix: str) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=results_bucket, Prefix=prefix)
    names = (row["Key"] for page in pages for row in page.get("Contents", []))
    return {name.rpartition(SEPARATOR)[2].rpartition(".")[2] for name in names}
