"""A believable load run, simulated from a seed: a spike, a queue, two to six replicas."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from loadtest.runs.data import Decision, Job, Limit, Run, Sample, Send
from loadtest.runs.figures import figures_of

POOL = "images"
SLOTS_EACH = 2
CORES = 2
CHECKED_WELL = {
    "valid": True,
    "lost": 0,
    "duplicated": 0,
    "wrong": 0,
    "unexpected": 0,
    "out_of_order": 0,
    "vanished": 0,
    "findings": [],
}


@dataclass(slots=True)
class _World:
    """What the little simulation knows while it runs; the code under test only sees the Run."""

    random: random.Random
    replicas: int = 2
    wanted: int = 2
    coming: list[tuple[float, int]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


def example_run(
    *,
    seed: int = 7,
    seconds: float = 90.0,
    peak_per_s: float = 32.0,
    most_replicas: int = 6,
    sample_every_s: float = 1.0,
) -> Run:
    """A whole run that keeps its limits; `dataclasses.replace` makes the others of it."""
    chance = random.Random(seed)
    sends = _sends(chance, seconds, peak_per_s)
    world = _World(chance)
    jobs = _jobs(world, sends, most_replicas)
    settled = max(job.recorded_s or 0.0 for job in jobs)
    end = settled + 14.0
    samples = _samples(world, sends, jobs, end, sample_every_s)
    run = Run(
        scenario="spike",
        about="A quiet minute, then thirty seconds at sixteen times the rate, then quiet again.",
        began_at=1_780_000_000.0,
        ended_s=end,
        load_ended_s=max(send.done_s for send in sends),
        settled_s=settled,
        shape={"name": "spike", "base_per_s": 2, "peak_per_s": peak_per_s, "peak_s": 30},
        target={
            "kind": "marea up",
            "store": "MinIO at http://127.0.0.1:9000",
            "broker": "Redis",
            "pools": {POOL: {"min": 2, "max": most_replicas, "slots": SLOTS_EACH}},
        },
        machine={
            "cpu_count": CORES,
            "cpu_model": "Example Processor",
            "memory_bytes": 8 << 30,
            "python": "3.11.9",
            "commit": "abc1234",
        },
        calibration={"store_puts_per_s": 96.0, "steady_jobs_per_s": 14.8},
        command="make load SCENARIO=spike",
        notes=("Memory of the store is that of its one process; its page cache is not in it.",),
        sends=tuple(sends),
        samples=tuple(samples),
        jobs=tuple(jobs),
        decisions=tuple(world.decisions),
        checker=CHECKED_WELL | {"acknowledged": len(sends), "checked": len(sends)},
        gateway={"event_answers": len(sends), "event_answer_p99_s": 0.05},
    )
    return replace(run, limits=_limits(run))


_BOUNDS: tuple[tuple[str, Literal["at most", "at least"], float, str], ...] = (
    ("lost", "at most", 0.0, "a promise"),
    ("put_p99_s", "at most", 0.25, "what a browser's user takes for instant"),
    ("accepted_p99_s", "at most", 0.25, "an event's answer, from the design"),
    ("latency_p95_s", "at most", 60.0, "drained within a minute: the pool's own setting"),
    ("drain_share", "at least", 0.7, "of the pool's own steady throughput"),
)


def _limits(run: Run) -> tuple[Limit, ...]:
    values = {**figures_of(run), "lost": 0.0}
    return tuple(
        Limit(name, relation, bound, values[name], why) for name, relation, bound, why in _BOUNDS
    )


def _sends(chance: random.Random, seconds: float, peak_per_s: float) -> list[Send]:
    sends: list[Send] = []
    at = 0.0
    while at < seconds:
        rate = peak_per_s if 40 <= at < 70 else 2.0
        late = max(0.0, chance.gauss(0.0005, 0.001)) + (0.004 if rate > 2 else 0.0)
        took = chance.lognormvariate(-4.0, 0.4)
        number = len(sends)
        sends.append(
            Send(
                number,
                at,
                at + late,
                at + late + took,
                "presigned" if number % 5 == 0 else "s3",
                f"load/example/{number:05}.jpg",
                "photo" if number % 3 else "thumbnail",
                chance.randint(20_000, 400_000),
                "ok",
            )
        )
        at += 1.0 / rate
    return sends


def _jobs(world: _World, sends: Sequence[Send], most: int) -> list[Job]:
    """First come, first served by whatever slots there are; one decision every two seconds."""
    queue: list[tuple[float, Send]] = []
    for send in sends:
        accepted = send.done_s + world.random.lognormvariate(-3.6, 0.5)
        queue.append((accepted, send))
    queue.sort(key=lambda entry: entry[0])
    free = [(0.0, n) for n in range(world.replicas * SLOTS_EACH)]
    heapq.heapify(free)
    jobs: list[Job] = []
    next_look = 2.0
    for position, (accepted, send) in enumerate(queue):
        while next_look <= accepted or (free and free[0][0] > next_look):
            waiting = sum(1 for time, _ in queue[position:] if time <= next_look)
            _decide(world, next_look, waiting, most)
            for ready_at, count in [c for c in world.coming if c[0] <= next_look]:
                world.coming.remove((ready_at, count))
                for slot in range(count * SLOTS_EACH):
                    heapq.heappush(free, (ready_at, world.replicas * SLOTS_EACH + slot))
                world.replicas += count
            next_look += 2.0
        slot_free, slot = heapq.heappop(free)
        start = max(slot_free, accepted) + 0.004
        # Replicas share the machine: the more there are, the longer each job takes.
        took = world.random.lognormvariate(-1.2, 0.35) * max(1.0, world.replicas / 2.5)
        heapq.heappush(free, (start + took, slot))
        jobs.append(_job(send, accepted, start, start + took, slot, world.random))
    return jobs


def _decide(world: _World, now: float, waiting: int, most: int) -> None:
    wanted = min(most, max(2, -(-waiting // 40)))
    if wanted > world.wanted:
        reason = f"{waiting} waiting, drained within 30 s needs {wanted} replicas"
        world.decisions.append(Decision(now, POOL, wanted, reason))
        world.coming.append((now + 3.0, wanted - world.wanted))
        world.wanted = wanted


def _job(
    send: Send, accepted: float, start: float, end: float, slot: int, chance: random.Random
) -> Job:
    return Job(
        job_id=f"{send.number:032x}",
        key=send.key,
        version_id=f"v{send.number}",
        pipeline="grayscale",
        pool=POOL,
        state="done",
        size_bytes=send.size_bytes,
        uploaded_s=send.done_s - 0.001,
        accepted_s=accepted,
        started_s=start,
        finished_s=end,
        recorded_s=end + chance.uniform(0.001, 0.004),
        worker=f"images-{slot // SLOTS_EACH}",
    )


def _samples(
    world: _World, sends: Sequence[Send], jobs: Sequence[Job], end: float, every: float
) -> list[Sample]:
    calm_at = max(job.finished_s or 0.0 for job in jobs) + 4.0
    samples: list[Sample] = []
    at = 0.0
    while at <= end:
        wanted = 2
        for decision in world.decisions:
            if decision.at_s <= at:
                wanted = decision.wanted or 0
        ready_replicas = 2
        for decision in world.decisions:
            if decision.at_s + 3.0 <= at:
                ready_replicas = decision.wanted or 0
        if at > calm_at:
            wanted = ready_replicas = 2
        waits = sum(1 for j in jobs if (j.accepted_s or 0) <= at < (j.started_s or 0))
        runs = sum(1 for j in jobs if (j.started_s or 0) <= at < (j.finished_s or 0))
        sending = sum(1 for s in sends if at - every < s.sent_s <= at) / every
        samples.append(_sample(world, at, waits, runs, wanted, ready_replicas, sending))
        at += every
    world.decisions.append(
        Decision(calm_at, POOL, 2, "nothing waits, 4 idle replicas drained, least allowed is 2")
    )
    return samples


def _sample(
    world: _World, at: float, waits: int, runs: int, wanted: int, replicas: int, sending: float
) -> Sample:
    noise = world.random.uniform
    workers = min(1.2, runs * 0.14 + noise(0, 0.03))
    return Sample(
        at_s=at,
        ready={POOL: waits},
        unacked={POOL: runs},
        wanted={POOL: wanted},
        replicas={POOL: replicas},
        slots={POOL: replicas * SLOTS_EACH},
        cpu={
            f"worker-{POOL}": workers,
            "gateway": 0.02 + 0.004 * sending + noise(0, 0.01),
            "reconciler": noise(0.005, 0.02),
            "autoscaler": noise(0.002, 0.006),
            "store": 0.03 + 0.006 * sending + noise(0, 0.02),
            "broker": 0.01 + 0.0008 * sending + noise(0, 0.004),
            "generator": 0.02 + 0.007 * sending + noise(0, 0.02),
        },
        memory={
            f"worker-{POOL}": replicas * 92 << 20,
            "gateway": 88 << 20,
            "reconciler": 71 << 20,
            "autoscaler": 64 << 20,
            "store": (150 << 20) + int(at * 200_000),
            "broker": (11 << 20) + waits * 1500,
            "generator": 120 << 20,
        },
    )
