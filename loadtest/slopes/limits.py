"""Three rates that limit what is far beyond one machine: `python -m loadtest.slopes.limits`.

events kept     events/s out of the store's queue on disk, after the gateway was away
jobs let in     waiting jobs that one tick of the reconciler publishes, and how long it takes
sweep resumed   how long the first part of a sweep takes that goes on from a checkpoint

Each on servers of its own, as JSON on standard output; two minutes in all.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import redis

from loadtest.bench import memory, sweeps
from loadtest.bench.world import QUEUE, BenchError, World, world
from marea.errors import MareaError
from marea.messages.objects import ObjectRef
from marea.reconciler.compose import build_reconciler
from marea.reconciler.sweeper import CHECKPOINT
from marea.settings import load_settings
from marea.storage.s3_admin import MINIO_KEPT
from marea.telemetry.logs import configure_logging

KEPT_EVENTS = 3_000
WAITING = 5_000
OBJECTS = 20_000
REPEATS = 5
SENDERS = 8
MANY = "1000000"
"""A quota that no tenant here reaches."""


def events_kept(servers: World) -> dict[str, float]:
    """Uploads while no gateway runs; then one starts, and the store sends what it kept."""
    uploads, results = "bench-kept", "bench-kept-results"
    servers.make_buckets(uploads, results)
    servers.admin.connect_bucket_events(uploads, [MINIO_KEPT])

    def upload(number: int) -> None:
        servers.s3.put_object(Bucket=uploads, Key=f"photos/{number:06}.jpg", Body=b"1")

    with ThreadPoolExecutor(SENDERS) as threads:
        list(threads.map(upload, range(KEPT_EVENTS)))
    variables = servers.environment(uploads, results, MAREA_RECONCILER__TENANT_QUOTA=MANY)
    seen: list[tuple[float, int]] = []
    with (
        redis.Redis.from_url(servers.redis.url(0)) as client,
        servers.marea(variables, "gateway") as gateway,
    ):

        def all_came() -> bool:
            queued = int(client.llen(QUEUE))
            if queued:
                seen.append((time.monotonic(), queued))
            return queued >= KEPT_EVENTS

        gateway.wait_until(all_came, f"{KEPT_EVENTS} kept events have come")
    (began, first), (ended, last) = seen[0], seen[-1]
    return {"events": KEPT_EVENTS, "events_per_s": (last - first) / (ended - began)}


def jobs_let_in(servers: World) -> dict[str, float]:
    """Jobs over their tenant's quota, once there is room."""
    servers.make_buckets(memory.SOURCE, memory.RESULTS)
    variables = servers.environment(memory.SOURCE, memory.RESULTS)
    few = {**variables, "MAREA_RECONCILER__TENANT_QUOTA": "1"}
    memory.accept_many(memory.accepting(few), WAITING, "waiting")
    reconciler = build_reconciler(
        load_settings({**variables, "MAREA_RECONCILER__TENANT_QUOTA": MANY})
    )
    reconciler.tick()  # with the sweep of an empty bucket, which later ticks need not repeat
    with redis.Redis.from_url(servers.redis.url(0)) as client:
        counts, times = [], []
        for _ in range(REPEATS):
            before = int(client.llen(QUEUE))
            times.append(_seconds(reconciler.tick))
            counts.append(int(client.llen(QUEUE)) - before)
    return {"jobs_a_tick": statistics.median(counts), "tick_s": statistics.median(times)}


def sweep_resumed(servers: World) -> dict[str, float]:
    """From a checkpoint behind all but the last page, as after a restart."""
    sweeps.SweptBucket(servers, OBJECTS).fill(OBJECTS, lambda _: None)
    settings = load_settings(
        servers.environment(
            sweeps.SOURCE,
            sweeps.RESULTS,
            # One part of the sweep a tick, which is the least it can do.
            MAREA_RECONCILER__SWEEP_BUDGET_S="0.001",
        )
    )
    times = []
    for _ in range(REPEATS):
        sweeper = build_reconciler(settings).sweeper
        ports = sweeper.performer.ports
        rows, after = [], None
        while True:
            page = ports.store.list_versions(sweeps.SOURCE, after=after)
            rows += [row.ref for row in page.rows]
            after = page.next
            if after is None:
                break
        mark = rows[-settings.reconciler.page_size - 1]
        ports.ledger.set_value(CHECKPOINT, _checkpoint(mark))
        times.append(_seconds(sweeper.tick))
        if ports.ledger.value(CHECKPOINT) is not None:
            raise BenchError("the resumed sweep did not come to its end in one part")
    passed = OBJECTS - settings.reconciler.page_size
    step_s = statistics.median(times)
    return {"objects_before": passed, "step_s": step_s, "us_an_object": step_s * 1e6 / passed}


def _checkpoint(mark: ObjectRef) -> dict[str, object]:
    """As the sweeper itself keeps it."""
    return {
        "buckets": [mark.bucket],
        "after": [mark.key, mark.version_id],
        "started_at": time.time(),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    configure_logging("warning", "console")
    told = {}
    for measure in (events_kept, jobs_let_in, sweep_resumed):
        try:
            with world() as servers:
                told[measure.__name__] = measure(servers)
        except (BenchError, MareaError, OSError, redis.RedisError) as exc:
            print(f"error: {measure.__name__} could not be measured: {exc}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            return 130
    print(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
