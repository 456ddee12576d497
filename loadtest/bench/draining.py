"""Contenders take turns at the same queue of work: filled while their workers stand still, then
let go, and timed by the store's own clock.

            wake            stand still           go                 rest
    resting ────▶ idle ────────────────▶ filling ────▶ draining ──────────▶ resting
                                                          │ results checked, then removed

Whoever has no turn rests by SIGSTOP: even idle workers ask for work, and these machines are
small. Throughput is (n - k) / (t_n - t_k) of the results' `LastModified`, in milliseconds, with
k = a tenth of n: connections, imports and first looks at a codec are not what is measured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Protocol

import psutil
import redis
from celery import Celery

from loadtest.bench.figures import Figure
from loadtest.bench.world import BenchError, Running, World
from marea.pipelines.catalog import Catalog, load_catalog
from marea.queues.names import queue_name

SOURCE = "corpus"
"""Bucket that the programs beside Marea read; filled once."""
UPLOADS = "uploads"
"""Marea's, whose uploads make events."""
WARM_UP = 10
"""One result in so many is left out at the start."""
WAKE_S = 0.2
"""For a worker that has rested: time to say that it lives, before anybody takes it for dead."""
TURN_TIMEOUT_S = 120.0
SLOTS = 2
PROGRAM = "loadtest.bench.contenders.celery_program"
MAREA_POOL = "images"

Check = Callable[[str, Sequence[str], str], None]
"""(upload's name, result keys, results bucket); raises `BenchError`."""


class Contender(Protocol):
    """Somebody with two worker slots and a results bucket of its own."""

    name: str
    results: str
    worker: Running

    @property
    def beside(self) -> Sequence[Running]:
        """Processes of its own that are no workers."""
        ...

    def fill(self, task: str, uploads: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
        """Queue the task for all uploads, in their order, and return when all of it waits.
        Replies the result keys of each."""
        ...

    def is_drained(self) -> bool:
        """Whether nothing waits any more, at little cost to the machine."""
        ...

    def clear(self) -> None:
        """Remove its own sources, so that the next turn finds nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn showed."""

    per_s: float
    records_per_s: float | None
    """By Marea's records instead of its results."""
    worker_ms: float
    """CPU time per upload of the worker and its children."""
    store_ms: float
    """CPU time per upload of MinIO."""
    rest_ms: float
    """CPU time per upload of the broker and of processes beside the worker."""


COSTS: Mapping[str, Callable[[Turn], float]] = {
    "worker CPU": lambda turn: turn.worker_ms,
    "store CPU": lambda turn: turn.store_ms,
    "broker CPU and the rest": lambda turn: turn.rest_ms,
}


@dataclass
class BareLoop:
    """Two processes in a loop over a list."""

    worker: Running
    results: str
    connection: Connection
    name: str = "bare loop"
    beside: Sequence[Running] = ()

    def fill(self, task: str, uploads: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
        keys = {name: f"{task}/{name}" for name in uploads}
        self.connection.send((task, list(keys.values())))
        return {name: plain_results(task, key) for name, key in keys.items()}

    def is_drained(self) -> bool:
        if self.connection.poll():
            self.connection.recv()
            return True
        return False

    def clear(self) -> None:
        """It keeps nothing."""


@dataclass
class PlainCelery:
    """The tutorial's program; with `pipelines`, by task, it runs Marea's own body instead."""

    worker: Running
    results: str
    url: str
    name: str = "plain Celery"
    pipelines: Mapping[str, str] | None = None
    pipelines_file: Path | None = None
    beside: Sequence[Running] = ()

    def __post_init__(self) -> None:
        self._app = Celery("tutorial", broker=self.url)
        self._redis = redis.Redis.from_url(self.url)

    def fill(self, task: str, uploads: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
        _wait_until_nobody_asks(self._redis)
        made = {}
        for name in uploads:
            key = f"{task}/{name}"
            if self.pipelines is None:
                self._app.send_task(task, (key,))
                made[name] = plain_results(task, key)
            else:
                pipeline = self.pipelines[task]
                self._app.send_task("ours", (pipeline, key))
                made[name] = catalog_results(self.pipelines_file, pipeline, key)
        wait_until(lambda: self._redis.llen("celery") == len(uploads), "plain Celery's queue")
        return made

    def is_drained(self) -> bool:
        return self._redis.llen("celery") == 0

    def clear(self) -> None:
        """It keeps nothing."""


@dataclass
class Marea:
    """The whole platform: uploads make events, events make jobs."""

    world: World
    worker: Running
    gateway: Running
    reconciler: Running
    results: str
    pipelines: Mapping[str, str]
    """Name by task."""
    pipelines_file: Path | None
    name: str = "marea"
    _turns: int = 0
    _queue: str = field(default=queue_name(MAREA_POOL, "normal"))

    def __post_init__(self) -> None:
        self._redis = redis.Redis.from_url(self.world.redis.url(0))

    @property
    def beside(self) -> Sequence[Running]:
        return (self.gateway, self.reconciler)

    def fill(self, task: str, uploads: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
        _wait_until_nobody_asks(self._redis)
        self._turns += 1
        keys = {name: f"{task}/{self._turns}-{name}" for name in uploads}
        for name, body in uploads.items():
            self.world.s3.put_object(Bucket=UPLOADS, Key=keys[name], Body=body)
        wait_until(lambda: self._redis.llen(self._queue) == len(uploads), "Marea's queue")
        pipeline = self.pipelines[task]
        return {
            name: catalog_results(self.pipelines_file, pipeline, key) for name, key in keys.items()
        }

    def is_drained(self) -> bool:
        return self._redis.llen(self._queue) == 0

    def clear(self) -> None:
        # Before the records: an upload without a record is work that was lost.
        empty(self.world, UPLOADS)


def plain_results(task: str, key: str) -> tuple[str, ...]:
    """The keys that `contenders.bodies` writes."""
    return (f"{key}_640.jpg", f"{key}_1280.jpg") if task == "web" else (key,)


def catalog_results(pipelines_file: Path | None, pipeline: str, key: str) -> tuple[str, ...]:
    """The keys that a pipeline of Marea writes."""
    return _catalog(pipelines_file)[pipeline].result_keys(key)


@cache
def _catalog(pipelines_file: Path | None) -> Catalog:
    text = pipelines_file.read_text(encoding="utf-8") if pipelines_file is not None else None
    return load_catalog(text)


def prepare_buckets(world: World, sources: Mapping[str, bytes], results: Sequence[str]) -> None:
    """All buckets alike; `sources` by key go into the one that plain programs read."""
    world.make_buckets(SOURCE, UPLOADS, *results)
    world.admin.connect_bucket_events(UPLOADS)
    for key, body in sources.items():
        world.s3.put_object(Bucket=SOURCE, Key=key, Body=body)


@contextmanager
def bare_loop(world: World, results: str) -> Iterator[BareLoop]:
    address = world.folder / "bare-loop.socket"
    command = [sys.executable, "-m", "loadtest.bench.contenders.bare_loop", str(address)]
    with world.running("bare-loop", command, plain_environment(world, results)) as child:
        child.wait_until(address.exists, "it listens")
        with Client(str(address), "AF_UNIX") as connection:
            yield BareLoop(child, results, connection)


@contextmanager
def plain_celery(
    world: World,
    results: str,
    database: int,
    *,
    source: str = SOURCE,
    pipelines: Mapping[str, str] | None = None,
    pipelines_file: Path | None = None,
) -> Iterator[PlainCelery]:
    """On a Redis `database` of its own."""
    url = world.redis.url(database)
    name = "plain Celery" if pipelines is None else "plain Celery, our body"
    environment = plain_environment(world, results, source=source, url=url)
    if pipelines_file is not None:
        environment["BENCH_PIPELINES_FILE"] = str(pipelines_file)
    with plain_worker(world, environment) as worker:
        yield PlainCelery(worker, results, url, name, pipelines, pipelines_file)


@contextmanager
def plain_worker(world: World, environment: Mapping[str, str]) -> Iterator[Running]:
    """As a tutorial starts it."""
    options = ("worker", "--concurrency", str(SLOTS), "--loglevel", "INFO")
    command = [sys.executable, "-m", "celery", "-A", PROGRAM, *options]
    with world.running("plain-celery", command, environment) as child:
        child.wait_until(lambda: " ready." in child.log, "its worker is ready")
        yield child


@contextmanager
def marea(
    world: World,
    results: str,
    pipelines: Mapping[str, str],
    *,
    pipelines_file: Path | None = None,
    **settings: str,
) -> Iterator[Marea]:
    """Gateway, reconciler and worker. Uploads below `<task>/` go through `pipelines[task]`."""
    environment = marea_environment(world, results, pipelines, pipelines_file, **settings)
    with ExitStack() as stack:
        gateway = stack.enter_context(world.marea(environment, "gateway"))
        reconciler = stack.enter_context(world.marea(environment, "reconciler"))
        worker = stack.enter_context(marea_worker(world, environment))
        yield Marea(world, worker, gateway, reconciler, results, pipelines, pipelines_file)


@contextmanager
def marea_worker(world: World, environment: Mapping[str, str]) -> Iterator[Running]:
    options = ("--pool", MAREA_POOL, "--concurrency", str(SLOTS))
    with world.marea(environment, "worker", *options) as child:
        yield child


def marea_environment(
    world: World,
    results: str,
    pipelines: Mapping[str, str],
    pipelines_file: Path | None = None,
    **settings: str,
) -> dict[str, str]:
    """Defaults throughout, but for `settings`."""
    rules = world.folder / "rules.yaml"
    lines = ["rules:"]
    for task, pipeline in pipelines.items():
        lines.append(f"  - {{name: {task}, when: {{prefix: {task}/}}, pipelines: [{pipeline}],")
        lines.append(f"     pool: {MAREA_POOL}}}")
    rules.write_text("\n".join(lines) + "\n", encoding="utf-8")
    more = {"MAREA_RULES_FILE": str(rules), **settings}
    if pipelines_file is not None:
        more["MAREA_PIPELINES_FILE"] = str(pipelines_file)
    return world.environment(UPLOADS, results, **more)


def plain_environment(
    world: World, results: str, *, source: str = SOURCE, url: str = ""
) -> dict[str, str]:
    """For the programs in `contenders`."""
    return {
        "BENCH_ENDPOINT_URL": world.store.endpoint_url or "",
        "BENCH_ACCESS_KEY": world.store.access_key,
        "BENCH_SECRET_KEY": world.store.secret_key,
        "BENCH_SOURCE": source,
        "BENCH_RESULTS": results,
        "BENCH_BROKER_URL": url,
    }


@contextmanager
def turns(contenders: Sequence[Contender]) -> Iterator[None]:
    """All of them rest; `take_turn` wakes one at a time."""
    for each in contenders:
        _rest(each)
    try:
        yield
    finally:
        for each in contenders:
            _wake(each)


def take_turn(
    world: World, contender: Contender, task: str, uploads: Mapping[str, bytes], check: Check
) -> Turn:
    """One queue of work by one contender. Raises `BenchError` for a missing or wrong result."""
    _wake(contender)
    # A signal would not do: what must have happened is in each worker's own threads.
    time.sleep(WAKE_S)
    with contender.worker.standing_still():
        made = contender.fill(task, uploads)
        before = _cpu_s(world, contender)
    wait_until(contender.is_drained, f"{contender.name} has taken all", log=contender.worker)
    done_at = _wait_for_results(world, contender, made, f"{task}/")
    recorded_at = _wait_for_records(world, contender, task, len(made))
    after = _cpu_s(world, contender)
    _rest(contender)
    for name, keys in made.items():
        check(name, keys, contender.results)
    contender.clear()
    empty(world, contender.results)
    worker_ms, store_ms, rest_ms = (
        1000 * (late - early) / len(made) for early, late in zip(before, after, strict=True)
    )
    return Turn(
        rate(done_at), rate(recorded_at) if recorded_at else None, worker_ms, store_ms, rest_ms
    )


def rate(times: Sequence[float]) -> float:
    """Per second, without the warm-up. Raises `BenchError` for fewer than three."""
    ordered = sorted(times)
    first = len(ordered) // WARM_UP
    if len(ordered) < 3 or ordered[-1] <= ordered[first]:
        raise BenchError(f"{len(ordered)} results are too few to tell a rate")
    return (len(ordered) - 1 - first) / (ordered[-1] - ordered[first])


def figures(
    section: str, measure: str, things: str, turns: Mapping[str, Sequence[Turn]]
) -> Iterator[Figure]:
    """Throughput and costs of one measure; `turns` by contender, `things` e.g. `images`."""
    for name, seen in turns.items():
        yield Figure(section, measure, name, f"{things}/s", tuple(turn.per_s for turn in seen))
        records = tuple(turn.records_per_s for turn in seen if turn.records_per_s is not None)
        if records:
            yield Figure(section, f"{measure}, by records", name, f"{things}/s", records)
    for what, cost in COSTS.items():
        for name, seen in turns.items():
            values = tuple(map(cost, seen))
            yield Figure(section, f"{measure}, {what}", name, f"ms/{things[:-1]}", values)


def listing(world: World, bucket: str, prefix: str = "") -> dict[str, float]:
    """`LastModified` by key, in seconds with MinIO's milliseconds."""
    found = {}
    pages = world.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for row in page.get("Contents", []):
            found[row["Key"]] = row["LastModified"].timestamp()
    return found


def empty(world: World, bucket: str) -> None:
    """Remove every version."""
    pages = world.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in pages:
        rows = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        names = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
        if names:
            world.s3.delete_objects(Bucket=bucket, Delete={"Objects": names, "Quiet": True})


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    log: Running | None = None,
    every_s: float = 0.1,
) -> None:
    """Raises `BenchError` after `TURN_TIMEOUT_S`, with the end of `log`."""
    deadline = time.monotonic() + TURN_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            tail = "\n".join(log.log.splitlines()[-10:]) if log is not None else ""
            raise BenchError(f"still not: {what}\n{tail}")
        time.sleep(every_s)


def _wait_for_results(
    world: World, contender: Contender, made: Mapping[str, tuple[str, ...]], prefix: str
) -> list[float]:
    """When the last result of each upload was there."""
    expected = {key for keys in made.values() for key in keys}
    found: dict[str, float] = {}

    def all_are_there() -> bool:
        found.update(listing(world, contender.results, prefix))
        return found.keys() >= expected

    wait_until(all_are_there, f"{contender.name} has made all results", log=contender.worker)
    surplus = found.keys() - expected
    if surplus:
        raise BenchError(f"{contender.name} made what nobody asked for: {sorted(surplus)[:3]}")
    return [max(found[key] for key in keys) for keys in made.values()]


def _wait_for_records(world: World, contender: Contender, task: str, count: int) -> list[float]:
    if not isinstance(contender, Marea):
        return []
    found: dict[str, float] = {}
    prefix = f".marea/records/{UPLOADS}/{task}/"

    def all_are_there() -> bool:
        found.update(listing(world, contender.results, prefix))
        return len(found) >= count

    wait_until(all_are_there, "Marea has written all records", log=contender.worker)
    return list(found.values())


def _cpu_s(world: World, contender: Contender) -> tuple[float, float, float]:
    """Seconds so far: the worker, the store, the broker with what is beside the worker."""
    beside = sum(each.cpu_s() for each in contender.beside)
    return contender.worker.cpu_s(), _used_s(world.minio.pid), _used_s(world.redis.pid) + beside


def _used_s(pid: int | None) -> float:
    times: Any = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _wait_until_nobody_asks(client: Any) -> None:
    """A worker that was stopped while it waited at Redis would be handed the first message."""
    wait_until(lambda: client.info("clients")["blocked_clients"] == 0, "nobody asks for work")


def _wake(contender: Contender) -> None:
    for child in (*contender.beside, contender.worker):
        for process in child.tree():
            process.resume()


def _rest(contender: Contender) -> None:
    for child in (*contender.beside, contender.worker):
        for process in child.tree():
            process.suspend()
