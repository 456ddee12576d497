"""Service times, processor time and memory as a load run measured them. Lines in, figures out.

A run's `jobs.jsonl` has a job a line, its `samples.jsonl` a look at the platform; times are seconds
since the run's beginning. A line that cannot be read stops all: figures of half a file are none.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from marea.errors import ConfigError

FEW = 30
"""Below so many jobs a mean is a guess; the usual rule of thumb for a sample's mean."""

MAX_JOBS = 1_000_000
"""Of one file. Arbitrary; more say nothing that these do not."""

WORKED = frozenset({"done", "superseded", "rejected"})
"""Ended by a worker. Of the others the end was written later, by somebody who found them."""

SETTLED_S = 5.0
"""How long the slots have to be the same before they count as able to work: a worker is seen before
it takes its first message, 1.9 s after its start (measured: docs/benchmarks.md), later on a busy
machine."""

ROLE = "worker-"


@dataclass(frozen=True, slots=True)
class Ran:
    """One job on its slot."""

    started_s: float
    finished_s: float
    pipeline: str = ""
    pool: str = ""

    @property
    def took_s(self) -> float:
        return self.finished_s - self.started_s


@dataclass(frozen=True, slots=True)
class Spread:
    """What jobs took."""

    jobs: int
    mean_s: float
    cv: float | None
    """Standard deviation over mean; None of a single job."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What samples tell of a pool's workers; None = they do not."""

    cores_a_slot: float | None = None
    """Processors used, over the slots that were busy at the time."""
    between_s: float | None = None
    """What a slot takes from a job's end to the next one's start where one waits: the record's
    write, the acknowledgement, the next message. Seen only where a queue lasted."""
    replica_bytes: int | None = None
    """Memory of a replica, not exceeded in 95 of 100 samples."""
    slots: int | None = None
    """Of a replica."""


def spread(jobs: Sequence[Ran]) -> Spread | None:
    """Of those whose time is known and above zero; None without any."""
    took = [job.took_s for job in jobs if job.took_s > 0.0]
    if not took:
        return None
    mean_s = fmean(took)
    return Spread(len(took), mean_s, stdev(took, mean_s) / mean_s if len(took) > 1 else None)


def chosen(jobs: Iterable[Ran], pool: str | None, pipelines: Sequence[str]) -> list[Ran]:
    """Of that pool and one of those pipelines; a job that does not name its pool is of any."""
    return [
        job
        for job in jobs
        if (pool is None or job.pool in ("", pool)) and (not pipelines or job.pipeline in pipelines)
    ]


def read_jobs(name: str, lines: Iterable[str]) -> list[Ran]:
    """The jobs in `lines` that a worker started and ended. Raises ConfigError."""
    jobs: list[Ran] = []
    for number, body in _objects(name, lines):
        if body.get("state") not in WORKED or body.get("started_s") is None:
            continue
        if body.get("finished_s") is None:
            continue
        try:
            ran = Ran(
                _number(body, "started_s"),
                _number(body, "finished_s"),
                str(body.get("pipeline") or ""),
                str(body.get("pool") or ""),
            )
        except ValueError as exc:
            raise ConfigError([f"{name}, line {number}: {exc}"]) from exc
        if ran.took_s < 0.0:
            raise ConfigError([f"{name}, line {number}: finished_s is before started_s"])
        jobs.append(ran)
        if len(jobs) > MAX_JOBS:
            raise ConfigError(
                [f"{name} has more than {MAX_JOBS:,} jobs that ended; take a part of it"]
            )
    return jobs


def read_samples(
    name: str, lines: Iterable[str], jobs: Sequence[Ran], pool: str | None = None
) -> Looks:
    """What the samples in `lines` tell of the workers that ran `jobs`: those of `pool`, or all.
    Raises ConfigError."""
    samples = []
    for number, body in _objects(name, lines):
        try:
            samples.append(_sample(body, pool))
        except ValueError as exc:
            raise ConfigError([f"{name}, line {number}: {exc}"]) from exc
    samples.sort(key=lambda sample: sample.at_s)
    memory = sorted(
        sample.memory / sample.replicas
        for sample in samples
        if sample.memory is not None and sample.replicas
    )
    slots = [
        sample.slots / sample.replicas for sample in samples if sample.slots and sample.replicas
    ]
    return Looks(
        _cores_a_slot(samples, jobs),
        _between_s(samples, jobs),
        math.ceil(memory[math.ceil(0.95 * len(memory)) - 1]) if memory else None,
        max(1, round(median(slots))) if slots else None,
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    cores: float | None
    memory: float | None
    replicas: float
    slots: float
    is_full: bool
    """Whether jobs waited in each of the pools that have slots."""


def _sample(body: dict[str, Any], pool: str | None) -> _Sample:
    replicas, slots = _of_pools(body, "replicas", pool), _of_pools(body, "slots", pool)
    memory = _of_roles(body, "memory", pool)
    both = sorted(set(replicas) & set(memory))
    ready = _of_pools(body, "ready", pool)
    cores = _of_roles(body, "cpu", pool)
    return _Sample(
        _number(body, "at_s"),
        sum(cores.values()) if cores else None,
        sum(memory[each] for each in both) if both else None,
        sum(replicas[each] for each in both) if both else sum(replicas.values()),
        sum(slots[each] for each in (both or slots) if each in slots),
        bool(slots) and all(ready.get(each, 0.0) > 0.0 for each in slots),
    )


def _cores_a_slot(samples: Sequence[_Sample], jobs: Sequence[Ran]) -> float | None:
    """Of the times between two samples whose second tells what was used since the first."""
    times = [sample.at_s for sample in samples]
    busy_s = _busy_until(times, jobs)
    used = busy = 0.0
    for number in range(1, len(samples)):
        cores = samples[number].cores
        if cores is not None:
            used += cores * (times[number] - times[number - 1])
            busy += busy_s[number] - busy_s[number - 1]
    return used / busy if busy > 0.0 and used > 0.0 else None


def _between_s(samples: Sequence[_Sample], jobs: Sequence[Ran]) -> float | None:
    """Of the times between two samples that both saw a queue and slots that had settled, unless
    fewer than `FEW` jobs ended in them."""
    times = [sample.at_s for sample in samples]
    busy_s, ends = _busy_until(times, jobs), sorted(job.finished_s for job in jobs)
    idle_s, ended, changed_s = 0.0, 0, times[0] if times else 0.0
    for number in range(1, len(samples)):
        before, after = samples[number - 1], samples[number]
        if before.slots != after.slots:
            changed_s = after.at_s
        elif before.is_full and after.is_full and before.at_s - changed_s >= SETTLED_S:
            idle_s += after.slots * (after.at_s - before.at_s)
            idle_s -= busy_s[number] - busy_s[number - 1]
            ended += bisect_right(ends, after.at_s) - bisect_right(ends, before.at_s)
    return max(0.0, idle_s / ended) if ended >= FEW else None


def _busy_until(times: Sequence[float], jobs: Sequence[Ran]) -> list[float]:
    """Slot-seconds worked before each of `times`, which are sorted."""
    turns = sorted([(job.started_s, 1) for job in jobs] + [(job.finished_s, -1) for job in jobs])
    told, work_s, running, last_s, turn = [], 0.0, 0, -math.inf, 0
    for at_s in times:
        while turn < len(turns) and turns[turn][0] <= at_s:
            if running:
                work_s += running * (turns[turn][0] - last_s)
            last_s, running, turn = turns[turn][0], running + turns[turn][1], turn + 1
        if running:
            work_s += running * (at_s - last_s)
        last_s = at_s
        told.append(work_s)
    return told


def _of_roles(body: dict[str, Any], name: str, pool: str | None) -> dict[str, float]:
    """By pool, of the roles that are workers."""
    return {
        role.removeprefix(ROLE): value
        for role, value in _numbers(body, name).items()
        if role.startswith(ROLE) and (pool is None or role == ROLE + pool)
    }


def _of_pools(body: dict[str, Any], name: str, pool: str | None) -> dict[str, float]:
    return {each: value for each, value in _numbers(body, name).items() if pool in (None, each)}


def _numbers(body: dict[str, Any], name: str) -> dict[str, float]:
    values = body.get(name) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{name!r} has to be an object of numbers, and is {values!r:.80}")
    return {str(key): _number(values, key) for key, value in values.items() if value is not None}


def _objects(name: str, lines: Iterable[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            body = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise ConfigError([f"{name}, line {number}: not JSON: {exc}"]) from exc
        if not isinstance(body, dict):
            raise ConfigError([f"{name}, line {number}: has to be a JSON object"])
        yield number, body


def _number(body: dict[str, Any], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name!r} has to be a number, and is {value!r:.80}")
    return float(value)
