"""The figures of a run, each with a name that limits may use. Pure.

Latencies of uploads count from the moment at which the schedule wanted them, so that a client
held up by the platform is the platform's delay (no coordinated omission). What jobs went through
is told by records and listings.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from loadtest.runs.data import Job, Run

LATE_S = 0.1
"""An upload sent later than this after it was due counts as late. Arbitrary: a tenth of what
people notice as waiting."""
DRAIN_SHARES = (0.1, 0.9)
"""Of the jobs that ended in a stretch: its throughput is taken between these, so that starts and
the last stragglers do not count. Arbitrary."""
LEAST_DRAINED = 20
"""Jobs that have to be left at the end of the load for its drain to have a throughput."""

ABOUT: Mapping[str, str] = {
    "uploads": "uploads that the store acknowledged",
    "failed_uploads": "uploads that were refused or got no answer",
    "problems": "uploads with any complaint, also of the job API's",
    "late_share": f"share of uploads sent more than {LATE_S:g} s after they were due",
    "late_p99_s": "seconds from due to sent, 99th percentile",
    "put_p50_s": "seconds from due to the store's answer, median",
    "put_p95_s": "the same, 95th percentile",
    "put_p99_s": "the same, 99th percentile",
    "arrivals_peak_per_s": "most uploads that were sent in any one second",
    "jobs": "jobs that have a record",
    "done": "jobs that ended as done",
    "rejected": "jobs that ended as rejected",
    "dead": "jobs that were given up",
    "accepted_p50_s": "seconds from the upload until the platform had taken it on, median",
    "accepted_p99_s": "the same, 99th percentile",
    "event_answer_p99_s": "seconds of the gateway's answers to the store's events, 99th percentile"
    " (the upper bound of its histogram's bucket)",
    "waited_p50_s": "seconds from being taken on to the start, median",
    "waited_p95_s": "the same, 95th percentile",
    "service_p50_s": "seconds from the start to the end of a job, median",
    "service_p95_s": "the same, 95th percentile",
    "latency_p50_s": "seconds from the upload to its result, median",
    "latency_p95_s": "the same, 95th percentile",
    "latency_p99_s": "the same, 99th percentile",
    "latency_max_s": "the same, of the slowest",
    "backlog_max": "most uploads that waited at once, taken on and not started",
    "drain_s": "seconds from the last upload until every one had its record",
    "drain_jobs_per_s": "jobs a second once nothing came any more and all was accepted",
    "steady_jobs_per_s": "the same of the same pool in the measurement before",
    "drain_share": "the pool's rate after the load, as a share of its rate before",
    "store_puts_per_s": "the store's own PUT rate in the measurement before",
    "peak_share": "most uploads sent in any one second, as a share of the store's own PUT rate",
    "replicas_max": "most replicas that were ready at once, over all pools",
    "restarts": "containers that were started anew",
    "attempts_max": "most attempts that a job needed",
    "generator_cores_mean": "cores that the load itself used, mean while it was sent",
    "platform_cores_mean": "cores that the platform used, store and broker too, in the same time",
    "worker_memory_max_mb": "most memory of all workers together, MB (10^6 bytes)",
    "platform_memory_max_mb": "most memory of the platform, store and broker too, MB",
}


def figures_of(run: Run) -> dict[str, float | None]:
    """Every name in `ABOUT`; None = not known."""
    jobs = [job for job in run.jobs if not job.is_calibration]
    drain = drain_rate(jobs, run.load_ended_s)
    found: dict[str, float | None] = {
        **_of_sends(run),
        **_of_jobs(jobs),
        **_of_samples(run),
        "drain_s": None if run.settled_s is None else max(0.0, run.settled_s - run.load_ended_s),
        "drain_jobs_per_s": drain,
        "steady_jobs_per_s": run.calibration.get("steady_jobs_per_s"),
        "store_puts_per_s": run.calibration.get("store_puts_per_s"),
        "event_answer_p99_s": run.gateway.get("event_answer_p99_s"),
        "restarts": run.gateway.get("restarts"),
    }
    found["drain_share"] = _ratio(drain, found["steady_jobs_per_s"])
    found["peak_share"] = _ratio(found["arrivals_peak_per_s"], found["store_puts_per_s"])
    return {name: found.get(name) for name in ABOUT}


def _of_sends(run: Run) -> dict[str, float | None]:
    late = [send.late_s for send in run.sends]
    took = [send.done_s - send.due_s for send in run.sends if send.outcome == "ok"]
    return {
        "uploads": float(len(took)),
        # Where nothing was sent, or its lines could not be read, nobody knows what failed.
        "failed_uploads": float(len(run.sends) - len(took)) if run.sends else None,
        "problems": float(sum(bool(send.problem) for send in run.sends)) if run.sends else None,
        "late_share": sum(each > LATE_S for each in late) / len(late) if late else None,
        "late_p99_s": percentile(late, 0.99),
        **{f"put_p{n}_s": percentile(took, n / 100) for n in (50, 95, 99)},
        "arrivals_peak_per_s": most_within([send.sent_s for send in run.sends], 1.0),
    }


def _of_jobs(jobs: Sequence[Job]) -> dict[str, float | None]:
    accepted = _differences((job.uploaded_s, job.accepted_s) for job in jobs)
    waited = _differences((job.accepted_s, job.started_s) for job in jobs)
    service = _differences((job.started_s, job.finished_s) for job in jobs)
    latency = [job.latency_s for job in jobs if job.latency_s is not None]
    states = {
        state: float(sum(job.state == state for job in jobs)) if jobs else None
        for state in ("done", "rejected", "dead")
    }
    return {
        "jobs": float(len(jobs)),
        **states,
        "accepted_p50_s": percentile(accepted, 0.5),
        "accepted_p99_s": percentile(accepted, 0.99),
        "waited_p50_s": percentile(waited, 0.5),
        "waited_p95_s": percentile(waited, 0.95),
        "service_p50_s": percentile(service, 0.5),
        "service_p95_s": percentile(service, 0.95),
        **{f"latency_p{n}_s": percentile(latency, n / 100) for n in (50, 95, 99)},
        "latency_max_s": max(latency, default=None),
        "backlog_max": _most_waiting(jobs),
        "attempts_max": max((float(job.attempts) for job in jobs), default=None),
    }


def _of_samples(run: Run) -> dict[str, float | None]:
    loaded = [each for each in run.samples if 0.0 <= each.at_s <= run.load_ended_s and each.cpu]
    weighed = [each.memory for each in run.samples if each.memory]
    seen = any(name.startswith("worker-") for each in loaded for name in each.cpu)
    ours = {"generator", "other", "kubernetes"}
    replicas = [sum(each.replicas.values()) for each in run.samples if each.replicas]
    workers = [
        sum(size for role, size in memory.items() if role.startswith("worker-"))
        for memory in weighed
    ]
    platform = [
        sum(size for role, size in memory.items() if role not in ours) for memory in weighed
    ]
    return {
        "replicas_max": float(max(replicas)) if replicas else None,
        "generator_cores_mean": _mean(
            each.cpu["generator"] for each in loaded if "generator" in each.cpu
        ),
        "platform_cores_mean": (
            _mean(
                sum(cores for role, cores in each.cpu.items() if role not in ours)
                for each in loaded
            )
            if seen
            else None
        ),
        "worker_memory_max_mb": max(workers) / 1e6 if seen and any(workers) else None,
        "platform_memory_max_mb": max(platform) / 1e6 if seen and any(platform) else None,
    }


def when_settled(found_s: float | None, jobs: Sequence[Job]) -> float | None:
    """When the last record of the load was written, of which the look that found them all, at
    `found_s`, came later; None where no look found them all."""
    if found_s is None:
        return None
    written = (job.recorded_s for job in jobs if not job.is_calibration)
    return min(found_s, max((at for at in written if at is not None), default=found_s))


def drain_rate(jobs: Sequence[Job], load_ended_s: float = -math.inf) -> float | None:
    """Jobs a second while nothing came any more: after the last upload had been answered and the
    last job accepted, which on a machine that is short of processors takes from the same. None
    for too few."""
    accepted = [job.accepted_s for job in jobs if job.accepted_s is not None]
    since_s = max([load_ended_s, *accepted])
    return throughput([job.finished_s for job in jobs if (job.finished_s or since_s) > since_s])


def throughput(ends: Iterable[float | None]) -> float | None:
    """Jobs a second between `DRAIN_SHARES` of the ends; None for too few."""
    times = sorted(end for end in ends if end is not None)
    if len(times) < LEAST_DRAINED:
        return None
    first, last = (int(share * (len(times) - 1)) for share in DRAIN_SHARES)
    return _ratio(float(last - first), times[last] - times[first])


def percentile(values: Sequence[float], share: float) -> float | None:
    """The least value that `share` of all do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def most_within(times: Sequence[float], window_s: float) -> float | None:
    """The most of `times` in any window of this length, per second; None of none."""
    ordered = sorted(times)
    if not ordered:
        return None
    # Without its end: ten a second, evenly spaced, are ten and not eleven.
    most = max(
        bisect_left(ordered, at_s + window_s) - number for number, at_s in enumerate(ordered)
    )
    return most / window_s


def _most_waiting(jobs: Iterable[Job]) -> float | None:
    steps = [
        step
        for job in jobs
        if job.accepted_s is not None and job.started_s is not None
        for step in ((job.accepted_s, 1), (job.started_s, -1))
    ]
    # Of what happens at the same moment, what starts goes first.
    return float(max(accumulate(change for _, change in sorted(steps)))) if steps else None


def _differences(pairs: Iterable[tuple[float | None, float | None]]) -> list[float]:
    return [
        max(0.0, later - earlier)
        for earlier, later in pairs
        if earlier is not None and later is not None
    ]


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None
