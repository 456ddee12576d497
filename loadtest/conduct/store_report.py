"""A run's report into a bucket: for a run on a disk that goes with it, as a Job's in a cluster.

s3://results/.marea/loadtest/  ─▶  s3://results/.marea/loadtest/spike-20260714T093005Z/run.json …
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from loadtest.runs.data import Run
from loadtest.runs.folder import RUN_FILE

ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[^\s]*)")
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
}


class NotStored(Exception):
    """The report is not in the bucket, or not all of it; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where reports go. `prefix` is empty or ends with a slash."""

    bucket: str
    prefix: str

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


def read_place(address: str) -> Place:
    """`s3://BUCKET/PREFIX/`. Raises `ValueError` with a sentence."""
    found = ADDRESS.fullmatch(address)
    if found is None or "//" in found["prefix"] or found["prefix"].startswith("/"):
        raise ValueError(
            f"--store-report {address}: not a place in a bucket; write"
            " s3://BUCKET/PREFIX/, e.g. s3://results/.marea/loadtest/"
        )
    prefix = found["prefix"]
    return Place(found["bucket"], prefix if not prefix or prefix.endswith("/") else f"{prefix}/")


def check_place(client: Any, place: Place) -> None:
    """Before a run, whether its bucket is there. Raises `NotStored`.

    Whether this key may write there shows when it does: nothing is left by a run that never was.
    """
    try:
        client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=1)
    except (ClientError, BotoCoreError) as exc:
        raise NotStored(
            f"--store-report: no report can be put to {place.address}, since the bucket is not"
            f" listed to this key: {_reason(exc, 's3:ListBucket')}"
        ) from exc


def store_report(client: Any, place: Place, run: Run, folder: Path) -> str:
    """Put the run's files below `place`; the address of their folder. Raises `NotStored`.

    `run.json` comes last: where it is, everything is.
    """
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(run.began_at))
    here = Place(place.bucket, f"{place.prefix}{run.scenario}-{at}/")
    for file in _files(folder):
        try:
            with file.open("rb") as body:
                client.put_object(
                    Bucket=here.bucket,
                    Key=f"{here.prefix}{file.name}",
                    Body=body,
                    ContentType=CONTENT_TYPES[file.suffix],
                )
        except (ClientError, BotoCoreError, Boto3Error, OSError) as exc:
            raise NotStored(
                f"the report could not be put to {here.address}: {file.name}:"
                f" {_reason(exc, 's3:PutObject')}; it is in {folder}"
            ) from exc
    return here.address


def _files(folder: Path) -> Iterator[Path]:
    """What a report is made of, and can be made again from."""
    found = {file for suffix in CONTENT_TYPES for file in folder.glob(f"*{suffix}")}
    yield from sorted(found, key=lambda file: (file.name == RUN_FILE, file.name))


def _reason(exc: Exception, needed: str) -> str:
    """Why not, with the right that the key may lack."""
    if isinstance(exc, ClientError):
        code = exc.response.get("Error", {}).get("Code", "")
        if code in ("AccessDenied", "403"):
            return f"AccessDenied: the key needs {needed} there (`marea store policies loadtest`)"
        if code in ("NoSuchBucket", "404"):
            return "NoSuchBucket: there is no such bucket"
    return str(exc)
