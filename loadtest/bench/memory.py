"""What a worker keeps of the machine's memory, and a queued job of Redis.

A worker is weighed after it has processed images, in rest: proportional set size of its whole
tree, so that pages which the children share with their parent count once. A job is weighed by
Redis itself: `used_memory` before and after the gateway's intake has accepted uploads, which is
broker and ledger together, with nobody working on them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import redis
from celery import Celery

from loadtest.bench import draining
from loadtest.bench.corpus import draw_photo
from loadtest.bench.figures import Figure
from loadtest.bench.plan import Plan
from loadtest.bench.world import QUEUE, BenchError, Running, World
from marea.lifecycle.accept import accept_jobs
from marea.messages.objects import ObjectRef
from marea.perform import Performer
from marea.routing.route import UploadFacts
from marea.settings import load_settings
from marea.wiring import build_declarations, build_policy, build_ports

SOURCE, RESULTS, PLAIN_RESULTS = "bench-memory", "bench-memory-results", "bench-memory-plain"
SIZES = ((1600, 1200), (1600, 1200), (1600, 1200), (1600, 1200), (3000, 2000))
"""In pixels, of one round of the images: a fifth of them has 6 megapixels."""
IMAGES = 20
KEY_BYTES = 60
"""Length of a queued job's key, which is more than a camera's and less than a data lake's."""
ROUND = 500
"""Uploads accepted at once; as the gateway has it."""
MIB = 2**20

Accept = Callable[[list[UploadFacts]], None]
"""What a gateway does with uploads. Raises `BenchError` if one was not confirmed."""


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterator[Figure]:
    yield from _worker_memory(world, plan, say)
    yield from _queue_memory(world, plan, say)


def _worker_memory(world: World, plan: Plan, say: Callable[[str], None]) -> Iterator[Figure]:
    world.make_buckets(SOURCE, RESULTS, PLAIN_RESULTS)
    random = Random(7)
    photos = [draw_photo(size, random) for size in SIZES]
    keys = [f"{number:03}.jpg" for number in range(IMAGES)]
    uploads = []
    for number, key in enumerate(keys):
        body = photos[number % len(photos)]
        answer = world.s3.put_object(Bucket=SOURCE, Key=key, Body=body)
        ref = ObjectRef(SOURCE, key, answer["VersionId"], answer["ETag"].strip('"'), len(body))
        uploads.append(UploadFacts(ref, time.time()))
    weighed: dict[str, list[float]] = {"marea": [], "plain Celery": []}
    for _ in range(plan.repeats):
        for contender, weigh in (("marea", _weigh_marea), ("plain Celery", _weigh_plain)):
            world.redis.flush()
            weighed[contender].append(weigh(world, uploads, say) / MIB)
    for contender, values in weighed.items():
        yield Figure("memory", "worker PSS", contender, "MB", tuple(values))


def _weigh_marea(world: World, uploads: list[UploadFacts], say: Callable[[str], None]) -> int:
    draining.empty(world, RESULTS)  # each repeat must write its results, not find them
    variables = world.environment(SOURCE, RESULTS)
    command = ("--pool", "images", "--concurrency", str(draining.SLOTS))
    with world.marea(variables, "worker", *command) as worker:
        accepting(variables)(uploads)
        _until_stored(world, worker, RESULTS, len(uploads))
        return _weigh(worker, "marea", say)


def _weigh_plain(world: World, uploads: list[UploadFacts], say: Callable[[str], None]) -> int:
    draining.empty(world, PLAIN_RESULTS)
    with plain_celery(world, SOURCE, PLAIN_RESULTS) as (worker, order):
        worker.wait_until(lambda: " ready." in worker.log, "the plain worker is ready")
        for upload in uploads:
            order(upload.ref.key)
        _until_stored(world, worker, PLAIN_RESULTS, len(uploads))
        return _weigh(worker, "plain Celery", say)


@contextmanager
def plain_celery(
    world: World, source: str, results: str
) -> Iterator[tuple[Running, Callable[[str], object]]]:
    """A tutorial's worker, just spawned, and what orders a key from it."""
    url = world.redis.url(2)
    variables = draining.plain_environment(world, results, source=source, url=url)
    program = "loadtest.bench.contenders.plain_memory"
    command = [sys.executable, "-m", "celery", "-A", program, "worker", "--loglevel", "INFO"]
    command += ["--concurrency", str(draining.SLOTS)]
    with (
        Celery(broker=url) as sender,
        world.running("plain-celery", command, variables) as worker,
    ):
        yield worker, lambda key: sender.send_task("grayscale", [key])


def _weigh(worker: Running, name: str, say: Callable[[str], None]) -> int:
    each = [process.memory_full_info() for process in worker.tree()]
    parts = ", ".join(f"{one.pss / MIB:.0f} ({one.uss / MIB:.0f} its own)" for one in each)
    say(f"    {name}: parent and children, MB: {parts}")
    return sum(one.pss for one in each)


def _until_stored(world: World, worker: Running, bucket: str, count: int) -> None:
    def stored() -> bool:
        rows = world.s3.list_objects_v2(Bucket=bucket).get("Contents", ())
        return sum(not row["Key"].startswith(".marea/") for row in rows) == count

    worker.wait_until(stored, f"{count} results are in {bucket}")
    # The last job's record and ledger row come after its result.
    worker.wait_until(lambda: _is_at_rest(worker), "the worker rests")


def _is_at_rest(worker: Running) -> bool:
    before_s = worker.cpu_s()
    time.sleep(0.5)
    return worker.cpu_s() - before_s < 0.05


def _queue_memory(world: World, plan: Plan, say: Callable[[str], None]) -> Iterator[Figure]:
    world.make_buckets(SOURCE, RESULTS)
    # By default what a tenant has beyond 10,000 jobs waits in the ledger alone.
    quota = str(2 * max(plan.sizes))
    accept = accepting(world.environment(SOURCE, RESULTS, MAREA_RECONCILER__TENANT_QUOTA=quota))
    largest = max(plan.sizes)
    for size in plan.sizes:
        values = []
        # Redis counts to the byte: the repeats differ by how its tables happen to grow.
        for _ in range(plan.repeats if size == min(plan.sizes) else 1):
            world.redis.flush()
            values.append(_bytes_per_job(world, accept, size))
        name = "Redis per queued job"
        measure = name if size == largest else f"{name}, {size:,}"
        say(f"    {measure}: {values[0]:.0f} bytes at {size:,}")
        note = f"at {size:,} jobs; beyond the {KEY_BYTES} bytes of the key itself"
        yield Figure("memory", measure, "marea", "bytes", tuple(values), note)


def _bytes_per_job(world: World, accept: Accept, count: int) -> float:
    with redis.Redis.from_url(world.redis.url(0)) as client:
        # What is there once, whatever the number: connections, scripts.
        accept_many(accept, 1, "first")
        before = _used(client)
        accept_many(accept, count, "jobs")
        used, queued = _used(client) - before, int(client.llen(QUEUE)) - 1
    if queued != count:
        raise BenchError(f"{count} jobs were accepted, {queued} messages are queued")
    return used / count - KEY_BYTES


def accept_many(accept: Accept, count: int, folder: str) -> None:
    """`count` uploads with keys of `KEY_BYTES` each, in a folder of their own (a short name)."""
    for start in range(0, count, ROUND):
        numbers = range(start, min(count, start + ROUND))
        accept([UploadFacts(_upload(folder, number), time.time()) for number in numbers])


def _upload(folder: str, number: int) -> ObjectRef:
    head, tail = f"photos/{folder}/", f"/{number:08}.jpg"
    key = head + "x" * (KEY_BYTES - len(head) - len(tail)) + tail
    # As long as MinIO's, and no two alike.
    version, etag = f"0a1b2c3d-4e5f-4a6b-8c7d-{number:012x}", f"{number:032x}"
    return ObjectRef(SOURCE, key, version, etag, 1_842_113)


def _used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def accepting(variables: dict[str, str]) -> Accept:
    """On real ports, as a gateway has them."""
    settings = load_settings(variables)
    declarations = build_declarations(settings)
    performer = Performer(build_ports(settings, declarations.pipelines))
    policy = build_policy(settings)

    def accept(uploads: list[UploadFacts]) -> None:
        jobs = [job for upload in uploads for job in declarations.rules.plan(upload).jobs]
        confirmed = performer.run(accept_jobs(jobs, policy))
        if sum(confirmed.values()) != len(uploads):
            raise BenchError("the broker did not confirm every job")

    return accept
