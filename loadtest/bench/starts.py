"""How long each process takes from its spawn until it is of use.

A gateway is of use when `/readyz` answers 200; a worker when it has taken a message that was
waiting for it, and more so when that message's result is stored; a command when it has ended.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import redis

from loadtest.bench.corpus import draw_photo
from loadtest.bench.draining import SLOTS
from loadtest.bench.figures import Figure
from loadtest.bench.memory import accepting, plain_celery
from loadtest.bench.plan import Plan
from loadtest.bench.world import QUEUE, BenchError, Running, World
from marea.messages.objects import ObjectRef
from marea.routing.route import UploadFacts
from marea.up.servers import free_port

SOURCE, RESULTS = "bench-starts", "bench-starts-results"
PLAIN_RESULTS, NO_SOURCE = "bench-starts-plain", "bench-starts-empty"
COMMANDS = (("--help",), ("--version",), ("submit", "--help"), ("jobs", "--json"))
"""`jobs` asks the ledger; the others nobody."""
NOTHING = "python -c pass"
COMMAND_TIMEOUT_S = 60.0
IMAGE_SIZE = (1600, 1200)

Seconds = dict[tuple[str, str], list[float]]
"""(measure, contender) -> one per repeat."""


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterator[Figure]:
    world.make_buckets(SOURCE, RESULTS, PLAIN_RESULTS, NO_SOURCE)
    photo = draw_photo(IMAGE_SIZE, Random(7))
    seconds: Seconds = defaultdict(list)
    variables = world.environment(SOURCE, RESULTS, MAREA_GATEWAY__PORT=str(free_port()))
    empty = world.environment(NO_SOURCE, RESULTS)
    # Once before it counts: files come off the disk, byte code is written.
    _measure_commands(world, variables, defaultdict(list))
    for repeat in range(plan.repeats):
        _measure_commands(world, variables, seconds)
        _measure_command(world, empty, ("reconciler", "--once"), seconds)
        seconds["gateway ready", "marea"].append(_start_gateway(world, variables))
        key = f"{repeat:03}.jpg"
        answer = world.s3.put_object(Bucket=SOURCE, Key=key, Body=photo)
        etag = answer["ETag"].strip('"')
        upload = ObjectRef(SOURCE, key, answer["VersionId"], etag, len(photo))
        for contender, start in (("marea", _start_marea), ("plain Celery", _start_plain)):
            world.redis.flush()
            taken_s, stored_s = start(world, variables, upload)
            seconds["worker takes a message", contender].append(taken_s)
            seconds["worker's first result", contender].append(stored_s)
    for (measure, contender), values in seconds.items():
        say(f"    {measure}, {contender}: {values[0]:.2f} s")
        yield Figure("starts", measure, contender, "s", tuple(values))


def _measure_commands(world: World, variables: Mapping[str, str], seconds: Seconds) -> None:
    nothing = [sys.executable, "-c", "pass"]
    seconds[NOTHING, "python"].append(_time(world, NOTHING, nothing, {}))
    for words in COMMANDS:
        _measure_command(world, variables, words, seconds)


def _measure_command(
    world: World, variables: Mapping[str, str], words: tuple[str, ...], seconds: Seconds
) -> None:
    name = " ".join(("marea", *words))
    script = str(Path(sys.executable).with_name("marea"))
    seconds[name, "marea"].append(_time(world, name, [script, *words], variables))


def _time(world: World, name: str, command: list[str], variables: Mapping[str, str]) -> float:
    """Seconds until it has ended well."""
    began = time.perf_counter()
    with world.running("command", command, variables) as child:
        # `wait` with a timeout looks every 50 ms, which is half of what is measured here.
        overdue = threading.Timer(COMMAND_TIMEOUT_S, child.kill)
        overdue.start()
        status = child.process.wait()
        seconds = time.perf_counter() - began
        overdue.cancel()
        if status:
            raise BenchError(f"{name} ended with {status}: {child.log[-500:]}")
    return seconds


def _start_gateway(world: World, variables: Mapping[str, str]) -> float:
    began = time.perf_counter()
    with world.marea(variables, "gateway"):
        return time.perf_counter() - began


def _start_marea(
    world: World, variables: Mapping[str, str], upload: ObjectRef
) -> tuple[float, float]:
    accepting(dict(variables))([UploadFacts(upload, time.time())])
    command = [sys.executable, "-m", "marea", "worker", "--pool", "images"]
    command += ["--concurrency", str(SLOTS)]
    began = time.perf_counter()
    with world.running("worker", command, variables) as worker:
        return _time_worker(world, worker, began, (0, QUEUE), RESULTS, upload.key)


def _start_plain(
    world: World, _variables: Mapping[str, str], upload: ObjectRef
) -> tuple[float, float]:
    began = time.perf_counter()
    with plain_celery(world, SOURCE, PLAIN_RESULTS) as (worker, order):
        order(upload.key)
        return _time_worker(world, worker, began, (2, "celery"), PLAIN_RESULTS, upload.key)


def _time_worker(
    world: World,
    worker: Running,
    began: float,
    queue: tuple[int, str],
    results: str,
    key: str,
) -> tuple[float, float]:
    """Seconds until the one message in `queue` (database, list) was taken, and until its result
    was stored."""
    database, name = queue
    prefix = key.removesuffix(".jpg")
    with redis.Redis.from_url(world.redis.url(database)) as client:
        worker.wait_until(lambda: not client.exists(name), "the worker takes a message")
        taken_s = time.perf_counter() - began
    worker.wait_until(
        lambda: "Contents" in world.s3.list_objects_v2(Bucket=results, Prefix=prefix),
        "the result is stored",
    )
    return taken_s, time.perf_counter() - began
