"""A queue that is filled step by step, with nobody working, and what it costs at each step.

Broker and ledger are two Redis servers, so that each one's memory is its own. Uploads enter by
the gateway's intake: most of them in this process, and at each step some, one after the other,
through a real gateway, each answered after the broker's confirm. Autoscaler and reconciler are
the real ones, on real ports, one tick at a time; the autoscaler looks at a fleet in memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

from loadtest.bench.event_load import make_requests, send_all
from loadtest.bench.memory import KEY_BYTES, RESULTS, SOURCE, Accept, accept_many, accepting
from loadtest.bench.world import EVENT_TOKEN, QUEUE, BenchError, World
from loadtest.slopes.fit import Growth, Measure, Point
from loadtest.slopes.results import Acceptance
from loadtest.slopes.weigh import stored_bytes
from marea.autoscaler.compose import build_autoscaler
from marea.autoscaler.loop import Autoscaler
from marea.clock import SystemClock
from marea.kube.memory import MemoryFleets
from marea.reconciler.compose import build_reconciler
from marea.reconciler.loop import Reconciler
from marea.settings import load_settings
from marea.up.redis_server import RedisServer
from marea.wiring import build_declarations

WARM_UP = 10
"""Uploads through the gateway before anything is measured: connections, scripts, caches."""
CHUNK = 2_500
"""Uploads between two moves of the progress bar."""
TICKS = 20
LOSSES = 5
EVENT_SUFFIX = len("/000000-000.jpg")
"""What the sender of events adds to a prefix; keys are to be as long as the others'."""
MS = 1e3

BYTES, BROKER, LEDGER = (
    "Redis per queued job",
    "its message, in the broker",
    "its row, in the ledger",
)
P50, P99 = "upload accepted, p50", "upload accepted, p99"
DECISION, DUTIES, LOSS = "autoscaler's tick", "reconciler's tick", "a lost message found"

UNITS = {BYTES: "bytes", BROKER: "bytes", LEDGER: "bytes"}
NOTES = {
    BYTES: f"broker and ledger, beyond the {KEY_BYTES} bytes of the key itself",
    BROKER: "key included",
    LEDGER: "key and indexes included",
    P50: "event to answer, one at a time; the size is the queue's half-way through them",
    P99: "event to answer, one at a time; the size is the queue's half-way through them",
    DECISION: "read, decide and record, all pools",
    DUTIES: "every duty but the sweep, the check of evidence among them",
    LOSS: "the tick that publishes again what broker and ledger disagree about",
}


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """How deep, and how often."""

    levels: tuple[int, ...] = (100, 1_000, 10_000, 100_000)
    repeats: int = 3
    uploads: int = 200
    """Through the gateway, at each level."""
    ended: int = 1_000
    """Jobs that a worker brings to their end."""

    @property
    def steps(self) -> int:
        """For a progress bar: uploads."""
        return self.repeats * (max(self.levels) + self.uploads)


@dataclass(slots=True)
class Ladder:
    """What was measured so far, by measure and size; whole repeats or parts of one."""

    values: dict[str, dict[float, list[float]]] = field(default_factory=dict)
    acceptance: Acceptance | None = None

    def add(self, name: str, at: float, value: float) -> None:
        self.values.setdefault(name, {}).setdefault(at, []).append(value)

    def measures(self) -> list[Measure]:
        return [
            Measure(
                name,
                UNITS.get(name, "ms"),
                "queued jobs",
                tuple(Point(at, tuple(values)) for at, values in sorted(sizes.items())),
                Growth.FLAT if name in UNITS else Growth.LINEAR,
                NOTES[name],
            )
            for name, sizes in self.values.items()
        ]


@dataclass(slots=True)
class _Platform:
    """The parts under measure, and how they are looked at from outside."""

    broker: Any
    ledger: Any
    """redis-py clients of the two servers."""
    accept: Accept
    autoscaler: Autoscaler
    reconciler: Reconciler
    port: int

    def queued(self) -> int:
        return int(self.broker.llen(QUEUE))

    def stored_bytes(self) -> tuple[int, int]:
        """Of broker and ledger."""
        return stored_bytes(self.broker), stored_bytes(self.ledger)

    def used_bytes(self) -> int:
        return sum(int(each.info("memory")["used_memory"]) for each in (self.broker, self.ledger))


def climb(
    world: World, plan: LadderPlan, ladder: Ladder, moved: Callable[[str, int], None]
) -> None:
    """All repeats, into `ladder`; `moved` hears what goes on, and of how many uploads more.

    Raises `BenchError`, `MareaError`, `OSError`, `redis.RedisError`.
    """
    with _platform(world, plan) as platform:
        for repeat in range(plan.repeats):
            told = f"repeat {repeat + 1} of {plan.repeats}"
            _empty(platform)
            _send(platform, "warm", WARM_UP)
            moved(told, WARM_UP)
            before = platform.stored_bytes()
            for level in plan.levels:
                for count in _fill(platform, level, f"{repeat}-{level}"):
                    moved(f"{told}: filling to {level:,}", count)
                moved(f"{told}: measuring at {level:,}", 0)
                _weigh(platform, level, before, ladder)
                _time_ticks(platform, level, ladder)
                _find_losses(platform, level, ladder)
                _time_uploads(platform, plan.uploads, f"{repeat}-{level}", ladder)
                moved(told, plan.uploads)


@contextmanager
def _platform(world: World, plan: LadderPlan) -> Iterator[_Platform]:
    world.make_buckets(SOURCE, RESULTS)
    with ExitStack() as stack:
        ledger = RedisServer(world.folder / "ledger").start()
        stack.callback(ledger.kill)
        variables = world.environment(
            SOURCE,
            RESULTS,
            MAREA_LEDGER__URL=ledger.url(0),
            # Beyond the quota jobs would wait in the ledger alone.
            MAREA_RECONCILER__TENANT_QUOTA=str(10 * max(plan.levels)),
            # The evidence is looked at in every tick, and a job published a moment ago may be
            # published again.
            MAREA_RECONCILER__EVIDENCE_INTERVAL_S="0.000001",
            MAREA_RECONCILER__REPUBLISH_BACKOFF_S="0.000001",
            # One sweep of the empty bucket, at the beginning; sweeps are measured by themselves.
            MAREA_RECONCILER__SWEEP_INTERVAL_S="86400",
            MAREA_AUTOSCALER__MODE="none",
        )
        stack.enter_context(world.marea(variables, "gateway"))
        settings = load_settings(variables)
        fleets = MemoryFleets(SystemClock(), dict.fromkeys(build_declarations(settings).pools, 0))
        yield _Platform(
            broker=stack.enter_context(redis.Redis.from_url(world.redis.url(0))),
            ledger=stack.enter_context(redis.Redis.from_url(ledger.url(0))),
            accept=accepting(variables),
            autoscaler=build_autoscaler(settings, fleets),
            reconciler=build_reconciler(settings),
            port=world.gateway_port,
        )


def _empty(platform: _Platform) -> None:
    """Nothing queued; the marks that both servers carry are there again."""
    for client in (platform.broker, platform.ledger):
        client.flushall()
    platform.reconciler.tick()
    platform.autoscaler.tick()


def _fill(platform: _Platform, level: int, folder: str) -> Iterator[int]:
    """To exactly `level` messages; yields after each chunk how many those were."""
    missing = level - platform.queued()
    number = 0
    while missing > 0:
        count = min(CHUNK, missing)
        accept_many(platform.accept, count, f"{folder}-{number}")
        missing, number = missing - count, number + 1
        yield count
    _require(platform, level)


def _require(platform: _Platform, queued: int) -> None:
    found = platform.queued()
    if found != queued:
        raise BenchError(f"{queued:,} jobs were accepted, {found:,} messages are queued")


def _weigh(platform: _Platform, level: int, before: tuple[int, int], ladder: Ladder) -> None:
    jobs = level - WARM_UP
    broker, ledger = (
        (now - then) / jobs for now, then in zip(platform.stored_bytes(), before, strict=True)
    )
    ladder.add(BYTES, level, broker + ledger - KEY_BYTES)
    ladder.add(BROKER, level, broker)
    ladder.add(LEDGER, level, ledger)
    ladder.acceptance = Acceptance(level, platform.used_bytes(), KEY_BYTES * level)


def _time_ticks(platform: _Platform, level: int, ladder: Ladder) -> None:
    decided = platform.autoscaler.tick()
    pool, _, _ = QUEUE.partition(".")
    decision = decided.get(pool)
    if decision is None or decision.inputs.get("ready") != level:
        raise BenchError(f"the autoscaler did not see {level:,} ready jobs: {decision}")
    ladder.add(DECISION, level, _median_ms(platform.autoscaler.tick))
    platform.reconciler.tick()
    ladder.add(DUTIES, level, _median_ms(platform.reconciler.tick))
    _require(platform, level)  # it found nothing to publish again


def _median_ms(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(TICKS)) * MS


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _find_losses(platform: _Platform, level: int, ladder: Ladder) -> None:
    """The broker loses a message; the second reading that misses it publishes a job again."""
    took = []
    for _ in range(LOSSES):
        platform.reconciler.tick()  # nothing is missed
        platform.broker.rpop(QUEUE)
        platform.reconciler.tick()
        _require(platform, level - 1)
        took.append(_seconds(platform.reconciler.tick))
        _require(platform, level)
    ladder.add(LOSS, level, statistics.median(took) * MS)


def _time_uploads(platform: _Platform, count: int, folder: str, ladder: Ladder) -> None:
    before = platform.queued()
    p50_ms, p99_ms = _send(platform, folder, count)
    _require(platform, before + count)
    # The queue grows meanwhile; where it is short that is much of it.
    at = before + count / 2
    ladder.add(P50, at, p50_ms)
    ladder.add(P99, at, p99_ms)


def _send(platform: _Platform, folder: str, count: int) -> tuple[float, float]:
    """Uploads one after the other over one connection; p50 and p99 of the answers, in ms."""
    prefix = f"photos/{folder}/".ljust(KEY_BYTES - EVENT_SUFFIX, "x")
    requests = make_requests(
        platform.port, SOURCE, prefix, requests=count, records=1, token=EVENT_TOKEN
    )
    told = send_all(platform.port, list(requests), connections=1)
    if told.accepted < count:
        raise BenchError(f"the gateway refused uploads, the first so: {told.refusal[:500]}")
    return told.p50_ms, told.p99_ms
