"""What a sweep costs by the number of objects in the source bucket, in time and in requests.

Settled: each version has its record, so that the sweep finds nothing to do, which is what it
finds day by day. All missing: none has, so that each becomes a ledger row and a message. Queued:
none has a record, but each waits in the ledger already. The reconciler's own sweeper runs in this
process; the store is counted at its port, where each call is one request.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from loadtest.bench.figures import Figure
from loadtest.bench.plan import Plan
from loadtest.bench.world import BenchError, World
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.messages.record import Record
from marea.perform import Performer
from marea.reconciler.compose import build_reconciler
from marea.reconciler.sweeper import REPORT, Sweeper
from marea.routing.route import UploadFacts
from marea.settings import Settings, load_settings
from marea.storage.object_store import ObjectStore
from marea.telemetry.logs import configure_logging

SOURCE, RESULTS, NO_RESULTS = "bench-sweeps", "bench-sweeps-results", "bench-sweeps-none"
FOLDER_SIZE = 1_000
"""Objects per folder."""
TAR_SIZE = 5_000
"""Objects per upload of a filling: MinIO takes some seconds for one."""
TARS_AT_ONCE = 2
LARGEST_REPEATS = 3
"""Of the largest size, which takes longest and whose spread is the smallest."""
UPLOAD = b"bytes that no worker ever reads"


@dataclass(frozen=True, slots=True)
class Swept:
    """One whole sweep."""

    seconds: float
    requests: Counter[str]
    accepted: int


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterator[Figure]:
    bucket = SweptBucket(world, max(plan.sizes))
    for size in sorted(plan.sizes):
        bucket.fill(size, say)
        largest = size == max(plan.sizes)
        repeats = min(plan.repeats, LARGEST_REPEATS) if largest else plan.repeats
        sweeps = [bucket.sweep_settled() for _ in range(repeats)]
        yield from _figures(f"settled, {size:,} objects", size, sweeps, say)
        if not largest:
            sweeps = [bucket.sweep_missing() for _ in range(repeats)]
            yield from _figures(f"all missing, {size:,} objects", size, sweeps, say)


def _figures(
    name: str, size: int, sweeps: list[Swept], say: Callable[[str], None]
) -> Iterator[Figure]:
    times = tuple(swept.seconds for swept in sweeps)
    each = tuple(seconds * 1e6 / size for seconds in times)
    requests = tuple(float(swept.requests.total()) for swept in sweeps)
    tell(name, size, sweeps[0], say)
    yield Figure("sweeps", name, "marea", "s", times)
    yield Figure("sweeps", f"{name}: an object", "marea", "µs", each)
    yield Figure("sweeps", f"{name}: requests", "marea", "requests", requests)


def tell(name: str, size: int, swept: Swept, say: Callable[[str], None]) -> None:
    """One sweep, for who waits for the next."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(swept.requests.items()))
    each_us = swept.seconds * 1e6 / size
    say(f"    {name}: {swept.seconds:.2f} s, {each_us:.0f} µs an object; {kinds}")


class SweptBucket:
    """A source bucket that grows, and whole sweeps over it, of three kinds. Every method raises
    `BenchError`, `MareaError`, `OSError`."""

    def __init__(self, world: World, largest: int) -> None:
        """`largest`: objects, when it is full."""
        configure_logging("warning", "console")  # what a sweep found is judged and told here
        world.make_buckets(SOURCE, RESULTS, NO_RESULTS)
        self._world = world
        self._size = 0
        self._recorded = self._settings(RESULTS)
        # Without grace: what lies here came seconds ago, and no event will tell of it.
        # Nor with a tenant's quota, beyond which jobs would wait in the ledger alone.
        self._bare = self._settings(
            NO_RESULTS,
            MAREA_RECONCILER__SWEEP_GRACE_S="0",
            MAREA_RECONCILER__TENANT_QUOTA=str(2 * largest),
        )

    def fill(self, size: int, say: Callable[[str], None]) -> None:
        """Up to `size` objects, and the record of each."""
        began = time.monotonic()
        _fill(self._world, self._recorded, range(self._size, size))
        self._size = size
        say(f"    {size:,} objects and their records made in {time.monotonic() - began:.0f} s")

    def sweep_settled(self) -> Swept:
        """Nothing is to be done."""
        self._world.redis.flush()
        return self._sweep(self._recorded, "recorded", accepted=0)

    def sweep_missing(self) -> Swept:
        """Each object becomes a ledger row and a message."""
        self._world.redis.flush()
        return self._sweep(self._bare, "missing", accepted=self._size)

    def sweep_queued(self) -> Swept:
        """Each object is a job that waits already: right after `sweep_missing`."""
        return self._sweep(self._bare, "in_flight", accepted=0)

    def _sweep(self, settings: Settings, expected: str, accepted: int) -> Swept:
        """One from the beginning, as `marea reconciler` makes it, tick by tick."""
        counted = _Counted()
        sweeper = _build_sweeper(settings, counted)
        ledger = sweeper.performer.ports.ledger
        ledger.set_value(REPORT, None)
        found = 0
        began = time.perf_counter()
        while (report := ledger.value(REPORT)) is None:
            found += sweeper.tick()
        seconds = time.perf_counter() - began
        if report["classes"] != {expected: self._size} or found != accepted:
            raise BenchError(f"{found} jobs set under way, not all {expected}: {report['classes']}")
        return Swept(seconds, counted.requests, found)

    def _settings(self, results: str, **more: str) -> Settings:
        return load_settings(self._world.environment(SOURCE, results, **more))


class _Counted:
    """The object store port, counting its calls by name."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.store: Any = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.requests[name] += 1
            return method(*arguments, **named)

        return call


def _build_sweeper(settings: Settings, counted: _Counted) -> Sweeper:
    sweeper = build_reconciler(settings).sweeper
    ports = sweeper.performer.ports
    counted.store = ports.store
    # The first request of a process also makes its client.
    counted.store.is_versioned(SOURCE)
    return replace(sweeper, performer=Performer(replace(ports, store=counted)))


def _fill(world: World, settings: Settings, numbers: range) -> None:
    """Add objects to the source bucket, and the record of each to the results bucket."""
    sweeper = build_reconciler(settings).sweeper
    keys = [f"photos/{number // FOLDER_SIZE:05}/{number:08}.jpg" for number in numbers]
    _upload_all(world, SOURCE, ((key, UPLOAD) for key in keys))
    wanted = set(keys)
    records = []
    for ref in _versions(sweeper.performer.ports.store):
        if ref.key in wanted:
            (job,) = sweeper.context.plan(UploadFacts(ref, time.time())).jobs
            records.append((sweeper.context.place.record_key(job), _record(job)))
    if len(records) != len(wanted):
        raise BenchError(f"{len(wanted)} objects were uploaded, {len(records)} are listed")
    _upload_all(world, RESULTS, records)


def _versions(store: ObjectStore) -> Iterator[ObjectRef]:
    after = None
    while True:
        page = store.list_versions(SOURCE, after=after)
        yield from (row.ref for row in page.rows)
        after = page.next
        if after is None:
            return


def _record(job: Job) -> bytes:
    record = Record(job.id, "done", job.ref, job.pipeline, finished_at=time.time(), attempts=1)
    return record.to_json()


def _upload_all(world: World, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
    """By tar archives that MinIO unpacks: a request for each object would take an hour."""
    listed = list(objects)
    parts = [listed[start : start + TAR_SIZE] for start in range(0, len(listed), TAR_SIZE)]
    client = world.s3
    client.meta.events.register("before-sign.s3.PutObject", _ask_to_unpack)
    try:
        with ThreadPoolExecutor(TARS_AT_ONCE) as threads:
            list(threads.map(lambda part: _upload_tar(client, bucket, part), parts))
    finally:
        client.meta.events.unregister("before-sign.s3.PutObject", _ask_to_unpack)


def _upload_tar(client: Any, bucket: str, objects: list[tuple[str, bytes]]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for key, body in objects:
            member = tarfile.TarInfo(key)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    client.put_object(Bucket=bucket, Key="filling.tar", Body=packed.getvalue())


def _ask_to_unpack(request: Any, **_: object) -> None:
    request.headers["X-Amz-Meta-Snowball-Auto-Extract"] = "true"
