"""What store and pool can do by themselves, measured right before the load on the same machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from loadtest.collect import open_client
from loadtest.files import LoadFile, make_file
from loadtest.history import HistoryWriter
from loadtest.recorded_put import put_load_file
from loadtest.scenario import Load
from loadtest.schedule import draw_schedule
from loadtest.shapes.burst_then_idle import BurstThenIdle
from loadtest.target import Target, environment_for, target_of

CLIENTS = 2
"""Processes that put at once, so that one Python's own speed is not taken for the store's."""
THREADS = 8
"""Of each. Arbitrary: sixteen in all are more than a few cores answer at once."""
SCRATCH = "loadtest-scratch"
SCRATCH_PREFIX = f".marea/{SCRATCH}/"
"""In the source bucket, where this key may make no bucket: Marea leaves its own prefix alone,
but the store still tells the gateway of each PUT, which is a part of the rate then."""


def store_puts_per_s(target: Target, load: Load) -> tuple[float, str]:
    """PUTs a second, and where they were put. Raises botocore's errors, `RuntimeError`."""
    client = open_client(target.store)
    bucket, prefix = _scratch(client, target)
    command = [sys.executable, "-m", "loadtest.conduct.measure", bucket, prefix]
    command += [str(load.measure.store_puts_s), ",".join(_kinds(load))]
    try:
        children = [
            subprocess.Popen(
                command, env=environment_for(target), stdout=subprocess.PIPE, text=True
            )
            for _ in range(CLIENTS)
        ]
        said = [child.communicate()[0] for child in children]
    finally:
        _clean(client, bucket, prefix)
    if any(child.returncode for child in children):
        raise RuntimeError("the measurement of the store's PUT rate failed")
    rate = sum(float(text) for text in said)
    return rate, f"{bucket}/{prefix}"


def _kinds(load: Load) -> Sequence[str]:
    """Twenty kinds in the scenario's proportions."""
    whole = sum(load.files.values())
    counts = {kind: round(20 * weight / whole) for kind, weight in load.files.items()}
    return [kind for kind, count in counts.items() for _ in range(count)] or list(load.files)[:1]


def _scratch(client: Any, target: Target) -> tuple[str, str]:
    try:
        client.create_bucket(Bucket=SCRATCH)
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou":
            return target.source_bucket, SCRATCH_PREFIX
    return SCRATCH, ""


def _clean(client: Any, bucket: str, prefix: str) -> None:
    """As far as this key may: an uploader may not, and the objects are small and few."""
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            keys = [{"Key": row["Key"]} for row in page.get("Contents", [])]
            if keys:
                client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if bucket == SCRATCH:
            client.delete_bucket(Bucket=bucket)
    except (ClientError, BotoCoreError):
        return


def put_for(client: Any, bucket: str, prefix: str, seconds: float, kinds: Sequence[str]) -> float:
    """PUTs a second of this process, `THREADS` at a time."""
    files = [make_file(kind, f"{prefix}x.{kind}", number) for number, kind in enumerate(kinds)]
    name = f"{prefix}{time.time_ns()}"
    deadline = time.monotonic() + seconds

    def put(worker: int) -> int:
        count = 0
        while time.monotonic() < deadline:
            file: LoadFile = files[count % len(files)]
            client.put_object(
                Bucket=bucket,
                Key=f"{name}-{worker}-{count % 100}",
                Body=file.body,
                ContentType=file.content_type,
            )
            count += 1
        return count

    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        counts = list(threads.map(put, range(THREADS)))
    return sum(counts) / (time.monotonic() - began)


def upload_at_once(
    target: Target,
    load: Load,
    history: HistoryWriter,
    prefix: str,
    advance: Callable[[int], None],
) -> None:
    """`measure.steady_jobs` uploads as fast as they go, whose work gives the pool's own rate."""
    shape = BurstThenIdle(uploads=load.measure.steady_jobs, within_s=1.0, idle_s=0.0, bursts=1)
    burst = load.model_copy(
        update={"shape": shape, "of_store_puts": None, "spacing": "even", "ways": {"s3": 1.0}}
    )
    client = open_client(target.store, connections=THREADS)

    def put(arrival: Any) -> None:
        file = make_file(arrival.kind, arrival.key, arrival.serial)
        put_load_file(client, history, target.source_bucket, arrival.key, file)
        advance(1)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(put, draw_schedule(burst, prefix)))


def main() -> None:
    """A client of its own: BUCKET PREFIX SECONDS KINDS; prints its PUTs a second."""
    bucket, prefix, seconds, kinds = sys.argv[1:]
    client = open_client(target_of(os.environ).store, connections=THREADS)
    print(put_for(client, bucket, prefix, float(seconds), kinds.split(",")))


if __name__ == "__main__":
    main()
