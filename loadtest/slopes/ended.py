"""What the ledger keeps of a job that has ended, until its retention is over.

A real worker makes small results of small pictures; the ledger, a Redis of its own, is weighed
before and after.
"""

from __future__ import annotations

import time
from random import Random

import redis

from loadtest.bench.corpus import draw_photo
from loadtest.bench.memory import KEY_BYTES, accepting
from loadtest.bench.world import BenchError, World
from loadtest.slopes.weigh import stored_bytes
from marea.clock import SystemClock
from marea.messages.objects import ObjectRef
from marea.results.ledger import Ledger
from marea.routing.route import UploadFacts
from marea.settings import load_settings
from marea.up.redis_server import RedisServer
from marea.wiring import build_ledger

SOURCE, RESULTS = "bench-ended", "bench-ended-results"
PIXELS = (64, 48)
WARM_UP = 20


def bytes_per_ended_job(world: World, jobs: int) -> float:
    """Row and indexes, key included. Raises `BenchError`, `MareaError`, `OSError`."""
    world.make_buckets(SOURCE, RESULTS)
    server = RedisServer(world.folder / "ledger").start()
    try:
        variables = world.environment(SOURCE, RESULTS, MAREA_LEDGER__URL=server.url(0))
        ledger = build_ledger(load_settings(variables), SystemClock())
        accept = accepting(variables)
        worker_of_two = ("worker", "--pool", "images", "--concurrency", "2")
        with (
            redis.Redis.from_url(server.url(0)) as client,
            world.marea(variables, *worker_of_two) as worker,
        ):
            accept(_uploads(world, WARM_UP, "warm"))
            worker.wait_until(lambda: _ended(ledger) == WARM_UP, "the first jobs have ended")
            before = stored_bytes(client)
            accept(_uploads(world, jobs, "jobs"))
            total = WARM_UP + jobs
            worker.wait_until(lambda: _ended(ledger) == total, f"{jobs} jobs have ended")
            return (stored_bytes(client) - before) / jobs
    finally:
        server.kill()


def _ended(ledger: Ledger) -> int:
    """Jobs that are done. Raises `BenchError` if one ended in another way."""
    counts = ledger.phase_counts()
    for phase in ("dead", "rejected", "superseded"):
        if counts.get(phase):
            raise BenchError(f"{counts[phase]} jobs ended {phase}, all should be done")
    return counts.get("done", 0)


def _uploads(world: World, count: int, folder: str) -> list[UploadFacts]:
    """Really there, with keys of `KEY_BYTES`."""
    body = draw_photo(PIXELS, Random(7))
    uploads = []
    for number in range(count):
        tail = f"/{number:08}.jpg"
        key = f"photos/{folder}/".ljust(KEY_BYTES - len(tail), "x") + tail
        answer = world.s3.put_object(Bucket=SOURCE, Key=key, Body=body)
        ref = ObjectRef(SOURCE, key, answer["VersionId"], answer["ETag"].strip('"'), len(body))
        uploads.append(UploadFacts(ref, time.time()))
    return uploads
