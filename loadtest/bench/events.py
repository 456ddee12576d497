"""Confirmed events per second through one gateway process, nobody working on them.

An event counts when it was answered 2xx, and after each load the queue is counted from outside:
a message for every such event must be in the broker, or the figure is none. Ledger and Redis
broker sync each write to disk; RabbitMQ's queues are quorum queues.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis
from kombu import Connection

from loadtest.bench.event_load import Answers
from loadtest.bench.figures import Figure
from loadtest.bench.plan import Plan
from loadtest.bench.world import EVENT_TOKEN, QUEUE, BenchError, World
from marea.up.servers import free_port

BROKERS = ("redis", "rabbitmq")
SOURCE, RESULTS = "bench-events", "bench-events-results"
WARM_UP = 10
"""Requests a connection before the clock starts: connections to the broker, caches."""
LOAD_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """One way of sending the events."""

    name: str
    records: int
    """Events in a request."""
    connections: int
    times: int
    """Of the plan's number of events, so that a load lasts seconds."""


LOADS = (
    # A store sends an event per upload, as many at once as it has uploads.
    Load("one a request", records=1, connections=32, times=1),
    Load("100 a request", records=100, connections=4, times=5),
)


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterator[Figure]:
    world.make_buckets(SOURCE, RESULTS)
    answers: dict[str, list[Answers]] = defaultdict(list)
    cpu_ms: dict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as running:
        gateways = {}
        for broker in BROKERS:
            environment = world.environment(
                SOURCE,
                RESULTS,
                broker=broker,
                MAREA_GATEWAY__PORT=str(free_port()),
                # Nobody takes jobs away: beyond the quota they would wait in the ledger alone.
                MAREA_RECONCILER__TENANT_QUOTA="1000000",
            )
            gateway = running.enter_context(world.marea(environment, "gateway"))
            gateways[broker] = (gateway, environment)
            for load in LOADS:
                prefix = f"{load.name[:3]}/warm-up"
                requests = WARM_UP * load.connections
                _send(environment, load, prefix, requests)
        for repeat in range(plan.repeats):
            for broker in BROKERS:
                gateway, environment = gateways[broker]
                for load in LOADS:
                    name = f"{load.name}, {broker}"
                    requests = max(1, plan.events * load.times // load.records)
                    events = requests * load.records
                    before, cpu_before_s = _queued(world, broker), gateway.cpu_s()
                    told = _send(environment, load, f"{load.name[:3]}/{repeat}", requests)
                    _require_all(told, _queued(world, broker) - before, events, name)
                    answers[name].append(told)
                    cpu_ms[name].append((gateway.cpu_s() - cpu_before_s) * 1e3 / events)
                    say(f"    {name}: {events / told.elapsed_s:.0f} events/s")
    for load in LOADS:
        for broker in BROKERS:
            name = f"{load.name}, {broker}"
            rates = [one.accepted * load.records / one.elapsed_s for one in answers[name]]
            yield Figure("events", name, "marea", "events/s", tuple(rates))
            for quantile in ("p50", "p99"):
                times = tuple(float(getattr(one, f"{quantile}_ms")) for one in answers[name])
                yield Figure("events", f"answer {quantile}, {name}", "marea", "ms", times)
            used = tuple(cpu_ms[name])
            yield Figure("events", f"CPU per event, {name}", "marea", "ms", used)


def _send(environment: Mapping[str, str], load: Load, prefix: str, requests: int) -> Answers:
    command = [sys.executable, "-m", "loadtest.bench.event_load"]
    command += [environment["MAREA_GATEWAY__PORT"], SOURCE, prefix]
    command += ["--requests", str(requests), "--records", str(load.records)]
    command += ["--connections", str(load.connections)]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "MAREA_GATEWAY__EVENT_TOKEN": EVENT_TOKEN},
        capture_output=True,
        text=True,
        check=False,
        timeout=LOAD_TIMEOUT_S,
    )
    if done.returncode:
        raise BenchError(f"the events could not be sent: {done.stderr[-500:]}")
    return Answers(**json.loads(done.stdout))


def _require_all(told: Answers, queued: int, events: int, name: str) -> None:
    if told.accepted < told.requests:
        raise BenchError(
            f"{name}: {told.requests - told.accepted} of {told.requests} requests were refused,"
            f" the first so: {told.refusal[:500]}"
        )
    if queued != events:
        raise BenchError(f"{name}: {events} events were confirmed, {queued} messages are queued")


def _queued(world: World, broker: str) -> int:
    """Messages in the queue as the broker's own client counts them."""
    if broker == "redis":
        with redis.Redis.from_url(world.redis.url(0)) as client:
            return int(client.llen(QUEUE))
    with Connection(world.rabbitmq.url()) as connection:
        return int(connection.channel().queue_declare(QUEUE, passive=True).message_count)
