"""Traces from a file: jobs as JSON lines, or the recorded history of a load test.

A job is `{"at": 12.5, "work_s": 3.1}`, in seconds, with `"pool"` and `"key"` (the kind of job) if
there are several. A history, as `loadtest` writes it, has the time of each PUT and no service
time, so the caller says what a job takes. Times may be seconds since the epoch: the first job is
moved to 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from marea.errors import ConfigError
from marea.simulator.trace import Job, PoolSpec, Trace

MAX_JOBS = 200_000
"""Of one file. Measured: 14,000 jobs take 0.1 to 0.4 s a run, and a seed has some 20 runs."""
MAX_WORK_S = 7 * 86_400.0
"""Of one job; arbitrary, and longer than any broker lets a message go unacknowledged."""
MAX_SPAN_S = 7 * 86_400.0
"""From the first job to the last. Measured: a day of 20,000 jobs under all policies takes 17 s a
seed, since some of them look each second."""
MAX_POOLS = 50
MAX_PROBLEMS = 5
"""Shown of one file; the rest is of the same kind more often than not."""


def parse_trace(
    name: str, lines: Iterable[str], pool: PoolSpec, work_s: float | None = None
) -> Trace:
    """The trace in `lines`; every pool it names is set as `pool`. Raises ConfigError."""
    jobs: list[Job] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            job = _job(json.loads(line), pool.name, work_s)
        except (ValueError, RecursionError) as exc:
            problems.append(f"{name}, line {number}: {exc}")
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        jobs += [] if job is None else [job]
        if len(jobs) > MAX_JOBS:
            problems.append(f"{name} has more than {MAX_JOBS:,} jobs; simulate a part of it")
            break
    if not problems:
        problems = _problems_of(name, jobs)
    if problems:
        raise ConfigError(problems)
    return _trace(name, jobs, pool)


def _job(body: Any, pool: str, work_s: float | None) -> Job | None:
    """The job of a line; None for a line of a history that queued none."""
    if not isinstance(body, dict):
        raise ValueError('a job is an object such as {"at": 12.5, "work_s": 3.1}')
    if "op" in body:
        if body["op"] != "put" or body.get("outcome") == "failed":
            return None
        if work_s is None:
            raise ValueError(
                "this is a load test's history, which has no service times; say with --work-s"
                " how many seconds a job takes"
            )
        pipelines = body.get("pipelines") or ["job"]
        key = pipelines[0] if isinstance(pipelines, list) else "job"
        body = {"at": body.get("invoked_at"), "work_s": work_s, "key": key}
    unknown = sorted(set(body) - {"at", "work_s", "pool", "key"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of at, work_s, pool, key")
    return Job(
        at_s=_number(body, "at", 0.0, math.inf),
        work_s=_number(body, "work_s", 0.001, MAX_WORK_S),
        pool=_text(body, "pool", pool),
        key=_text(body, "key", "job"),
    )


def _number(body: dict[str, Any], name: str, least: float, most: float) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name!r} has to be a number of seconds, and is {value!r}")
    if not least <= value <= most:
        limit = f"at least {least:g}" if value < least else f"at most {most:g}"
        raise ValueError(f"{name!r} is {value:g} s and has to be {limit}")
    return float(value)


def _text(body: dict[str, Any], name: str, default: str) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not 0 < len(value) <= 63 or not value.isprintable():
        raise ValueError(f"{name!r} has to be a name of 1 to 63 characters, and is {value!r:.80}")
    return value


def _problems_of(name: str, jobs: list[Job]) -> list[str]:
    if not jobs:
        return [f'{name} has no jobs; write one a line, such as {{"at": 0, "work_s": 3.1}}']
    pools = {job.pool for job in jobs}
    if len(pools) > MAX_POOLS:
        return [f"{name} names {len(pools)} pools, and at most {MAX_POOLS} are simulated"]
    span_s = max(job.at_s for job in jobs) - min(job.at_s for job in jobs)
    if span_s > MAX_SPAN_S:
        return [
            f"{name} goes over {span_s / 86_400:.0f} days, and at most {MAX_SPAN_S / 86_400:.0f}"
            " are simulated; take a part of it"
        ]
    return []


def _trace(name: str, jobs: list[Job], pool: PoolSpec) -> Trace:
    start_s = min(job.at_s for job in jobs)
    moved = sorted(
        (Job(job.at_s - start_s, job.work_s, job.pool, job.key) for job in jobs),
        key=lambda job: job.at_s,
    )
    names = sorted({job.pool for job in jobs})
    specs = tuple(PoolSpec(each, pool.slots, pool.max_replicas, pool.drain_s) for each in names)
    about = f"{len(jobs):,} jobs from {name}."
    return Trace(name, about, tuple(moved), specs)
