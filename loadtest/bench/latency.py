"""From the start of an upload to its result in the bucket, one upload at a time.

Marea and a minimal program (webhook, `.delay`, the same body as the bare loop) take turns upload
by upload. The end is the result's `LastModified` by the store, in milliseconds; the start is
taken on the same machine's clock, before the PUT.

MinIO can hold events in a queue on disk first, so that none is lost while nobody listens; it
looks into that queue each 3 s, and a result comes so much later. `marea up` has both ways. Both
programs are therefore measured twice: with events sent at once, and, few times since each takes
seconds, with events kept first. There a random pause before each upload keeps it out of step
with the store's looks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random

from botocore.exceptions import ClientError

from loadtest.bench import draining
from loadtest.bench.corpus import draw_photo
from loadtest.bench.figures import Figure, percentile
from loadtest.bench.plan import Plan
from loadtest.bench.world import MINIMAL, MINIMAL_KEPT, World
from marea.storage.s3_admin import MINIO_DIRECT, MINIO_KEPT
from marea.up.servers import answers_http

SIZE = (640, 480)
SEED = 20
TASK = "grayscale"
MINIMAL_UPLOADS, MINIMAL_RESULTS = "minimal-uploads", "minimal-results"
MINIMAL_DATABASE = 4
MAREA_RESULTS = "results"
POLL_S = 0.02
"""Between two looks for a result: a look costs the store 2 ms, and what is measured is taken from
its listing afterwards."""
LOOK_EVERY_S = 3.0
"""Of MinIO, into a queue of events on disk."""
KEPT_PART = 8
"""One upload in so many is made again with events kept first, in one repeat only."""
AT_ONCE = "Events sent at once: the store's own default, without its queue on disk."
KEPT = "Events kept on disk first; the store looks there each 3 s. `marea up` has both ways."
WARM_UP_UPLOADS = 4
"""Uploads per program that are not counted: connections, imports."""


@dataclass
class Program:
    """One of the two."""

    name: str
    uploads: str
    results: str
    result_key: Callable[[str], str]
    started_at: dict[str, float] = field(default_factory=dict)
    """By upload key."""

    def upload(self, world: World, key: str, body: bytes) -> None:
        """Put it and wait until its result is there. Raises `BenchError`."""
        self.started_at[key] = time.time()
        world.s3.put_object(Bucket=self.uploads, Key=key, Body=body)
        made = self.result_key(key)
        draining.wait_until(
            lambda: _exists(world, self.results, made),
            f"{self.name} has made {made}",
            every_s=POLL_S,
        )


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterable[Figure]:
    body = draw_photo(SIZE, Random(SEED))
    world.make_buckets(draining.UPLOADS, MAREA_RESULTS, MINIMAL_UPLOADS, MINIMAL_RESULTS)
    seen: list[dict[tuple[str, str], float]] = []
    with ExitStack() as stack:
        stack.enter_context(draining.marea(world, MAREA_RESULTS, {TASK: "grayscale"}))
        stack.enter_context(_minimal_program(world))
        programs = (
            Program("minimal program", MINIMAL_UPLOADS, MINIMAL_RESULTS, lambda key: key),
            Program("marea", draining.UPLOADS, MAREA_RESULTS, _marea_result),
        )
        world.admin.connect_bucket_events(MINIMAL_UPLOADS, [MINIMAL])
        world.admin.connect_bucket_events(draining.UPLOADS, [MINIO_DIRECT])
        _take_turns(world, programs, body, "warm-up", WARM_UP_UPLOADS)
        for repeat in range(plan.repeats):
            _take_turns(world, programs, body, str(repeat), plan.latency_uploads)
            seen.append(_look(world, programs, str(repeat)))
            say(f"    {repeat + 1}/{plan.repeats} events at once, {_told(seen[-1])}")
        world.admin.connect_bucket_events(MINIMAL_UPLOADS, [MINIMAL_KEPT])
        world.admin.connect_bucket_events(draining.UPLOADS, [MINIO_KEPT])
        _upload_out_of_step(
            world, programs, body, "kept", max(2, 1 + plan.latency_uploads // KEPT_PART)
        )
        kept = _look(world, programs, "kept")
        say(f"    events kept first, {_told(kept)}")
    for measure, contender in seen[0]:
        values = tuple(each[measure, contender] for each in seen)
        yield Figure("latency", measure, contender, "ms", values, AT_ONCE)
    for (measure, contender), value in kept.items():
        name = f"{measure}, events kept first"
        yield Figure("latency", name, contender, "ms", (value,), KEPT)


@contextmanager
def _minimal_program(world: World) -> Iterator[None]:
    url = world.redis.url(MINIMAL_DATABASE)
    environment = draining.plain_environment(
        world, MINIMAL_RESULTS, source=MINIMAL_UPLOADS, url=url
    )
    command = [sys.executable, "-m", "loadtest.bench.contenders.minimal", str(world.minimal_port)]
    with (
        draining.plain_celery(world, MINIMAL_RESULTS, MINIMAL_DATABASE, source=MINIMAL_UPLOADS),
        world.running("minimal", command, environment) as webhook,
    ):
        webhook.wait_until(lambda: answers_http(world.minimal_port, "/"), "the webhook answers")
        yield


def _take_turns(
    world: World, programs: Sequence[Program], body: bytes, label: str, count: int
) -> None:
    for index in range(count):
        for program in programs:
            program.upload(world, f"{TASK}/{label}-{index:04}.jpg", body)


def _upload_out_of_step(
    world: World, programs: Sequence[Program], body: bytes, label: str, count: int
) -> None:
    random = Random(SEED)
    for index in range(count):
        for program in programs:
            time.sleep(random.uniform(0.0, LOOK_EVERY_S))
            program.upload(world, f"{TASK}/{label}-{index:04}.jpg", body)


def _marea_result(key: str) -> str:
    return draining.catalog_results(None, "grayscale", key)[0]


def _exists(world: World, bucket: str, key: str) -> bool:
    try:
        world.s3.head_object(Bucket=bucket, Key=key)
    except ClientError as exc:
        if exc.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return False
    return True


def _latencies_ms(world: World, program: Program, prefix: str) -> Iterator[float]:
    made_at = draining.listing(world, program.results, prefix)
    for key, began in program.started_at.items():
        if key.startswith(prefix):
            yield 1000 * (made_at[program.result_key(key)] - began)


def _record_latencies_ms(world: World, program: Program, prefix: str) -> Iterator[float]:
    """A record's name begins with its upload's key."""
    below = f".marea/records/{program.uploads}/"
    expected = [key for key in program.started_at if key.startswith(prefix)]
    recorded_at: dict[str, float] = {}

    def all_are_there() -> bool:
        for name, at in draining.listing(world, program.results, below + prefix).items():
            recorded_at[name.removeprefix(below).rpartition("!")[0]] = at
        return recorded_at.keys() >= set(expected)

    draining.wait_until(all_are_there, "Marea has written all records")
    for key in expected:
        yield 1000 * (recorded_at[key] - program.started_at[key])


def _look(world: World, programs: Sequence[Program], label: str) -> dict[tuple[str, str], float]:
    """Percentiles in ms of the uploads under `label`, by measure and contender."""
    found = {}
    prefix = f"{TASK}/{label}-"
    for program in programs:
        values = list(_latencies_ms(world, program, prefix))
        found |= {(f"p{each}", program.name): percentile(values, each) for each in (50, 95)}
    values = list(_record_latencies_ms(world, programs[-1], prefix))
    return found | {(f"record p{each}", "marea"): percentile(values, each) for each in (50, 95)}


def _told(found: dict[tuple[str, str], float]) -> str:
    p50 = (f"{name} {value:.0f}" for (what, name), value in found.items() if what == "p50")
    return f"p50, ms: {', '.join(p50)}"
