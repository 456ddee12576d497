"""How many replicas a pool needs: one pure function, used by the autoscaler, `explain` and the
simulator alike.

    offered = λ · s / u                      slots for what arrives
    work    = (W + busy · s/2) / H           slots to clear the queue in time; 0 if it is empty
    N       = ceil((offered + work) / c)

    at least  ceil(busy / c)                 a busy replica is not taken away
    at least  the fleet that is there, while jobs are queued
    at most   ceil(jobs / c)                 more slots than jobs help nobody; `offered` aside
    clamped   to min_replicas … max_replicas (were more busy: these finish, and take no more)

λ arrivals per s, s mean service time in s, W work-seconds of the ready jobs, c slots per replica,
u target utilisation in (0, 1], busy the slots that run a job, each with s/2 left on average, jobs
those ready, running or held. H is the time in which the queue has to be gone, of the target T:

    H = max(T - startup, s)                      while replicas are needed that have yet to start
    H = min(that, max(T - oldest, startup, s))   once none is starting: what is left of T

so a fleet that keeps to its plan is left alone, and one that fell behind grows, though never to
finish in less time than new replicas need to start. If what the fleet that is there can do
beside λ · s clears the queue within `startup`, none is added for it: it would come too late.

If the oldest job still waits two starts after its target, though none is under way, what was
measured is wrong, and busy slots are not counted on to become free: N >= (busy + W / H) / c. So
already after half of the target where s is known to be wrong: a job that waits is expected to take
more than twice as long, of a kind that runs and of which few have ended.

A number between N and N with an `offered` that is higher by chance alone (1.5 standard deviations
of the rate, and at least 5 %) is left as it is, so that a steady load next to a step of the
ceiling does not add and remove a replica in turn. A pool without work keeps one replica for
`idle_after_s`, and longer while λ · s >= 0.05 slots.

Sources: offered load is Little's law (jobs in service = λ · s); backlog over time is the
"acceptable backlog per instance" of AWS's guide to scaling on SQS, with seconds of work in place
of messages, and Dask's `target_duration`; counting the running jobs is Airflow's query; 0 to N in
one step is Knative's panic mode, starting replicas being counted.
"""

from __future__ import annotations

import math
from dataclasses import replace

from marea.scaling.backlog import Backlog, PoolTarget, Reading, Unreadable
from marea.scaling.decision import Adopted, Decision
from marea.scaling.sentences import explain
from marea.scaling.service_times import SLOW_S

DEAD_BAND = 0.05
"""Least relative excess of offered load at which a replica is still kept. Measured in the
simulator: with 0.15 a load that falls costs 3 % more worker-seconds."""

KEEP_ALIVE_LOAD = 0.05
"""A pool whose arrivals keep fewer slots busy may be parked when idle. Arbitrary: a job of 3 s a
minute; to keep a replica of 4 slots for less would waste 99 % of it."""

STALE_AFTER_S = 30.0
"""A reading this old is no reading. Derived: two lost heartbeats (15 s each by default)."""

CLOCK_SLACK_S = 1.0
"""Readings may be this far ahead of `now`: the clocks of two machines. Arbitrary."""

LONG_OF_MEAN = 2.0
"""A waiting job that is expected to take so many times the mean makes that no measure of what runs.
Arbitrary: above what chance and a changing mix do to a mean."""

SUSPECT_SHARE = 0.5
"""Of the target: after so long the oldest job is taken to be stuck, if the mean is no measure.
Measured in the simulator over ten seeds, against two starts after the target in every case: behind
long jobs the 99th percentile of waits is 42 s at most in place of 80, at the same worker-seconds.
Where the mean is a measure, a fleet on its plan has jobs wait that long, and is left alone."""

_ROUNDING = 1e-9
"""What binary fractions may add to a quotient; without it 0.8/0.8 slots could need two."""

_MANY = 1e9
"""Replicas beyond any max; finite, as the product of two large readings need not be."""


def desired_replicas(
    pool: PoolTarget, backlog: Reading, now: float, previous: Decision | None = None
) -> Decision:
    """The replicas that `pool` needs at `now`, and why.

    `previous` is the last decision, with what became of it in `applied`: by it a scale that
    somebody changed by hand is noticed, and a clock that went back. Raises ValueError for a
    reading of another pool.
    """
    if backlog.pool != pool.name:
        raise ValueError(f"a reading of pool {backlog.pool!r} cannot size pool {pool.name!r}")
    if isinstance(backlog, Unreadable):
        return _hold(pool, backlog, now, previous, backlog.reason)
    doubt = _doubt(backlog, now, previous)
    if doubt is not None:
        return _hold(pool, backlog, now, previous, doubt)
    need, limiter, bounds = _need(pool, backlog, now)
    adopted = _adopted(backlog, now, previous, pool.idle_after_s)
    if adopted is not None and need < adopted.replicas:
        need, limiter = adopted.replicas, "adopted"
    need, limiter = _clamp(pool, need, limiter)
    decision = Decision(
        pool=pool.name,
        at=now,
        replicas=need,
        limiter=limiter,
        reason="",
        wanted=backlog.fleet.wanted,
        inputs=_inputs(pool, backlog),
        bounds=bounds,
        adopted=adopted,
    )
    return replace(decision, reason=explain(pool, backlog, decision, now))


def _doubt(reading: Backlog, now: float, previous: Decision | None) -> str | None:
    """Why nothing may be concluded from `reading`, or None."""
    if previous is not None and now < previous.at:
        return f"the clock went back by {previous.at - now:.0f} s; decided again from the next on"
    if reading.at > now + CLOCK_SLACK_S:
        return f"the reading is {reading.at - now:.0f} s ahead of this clock; set both by NTP"
    if now - reading.at > STALE_AFTER_S:
        return f"the reading is {now - reading.at:.0f} s old, more than {STALE_AFTER_S:.0f} s"
    numbers = {
        "ready": reading.ready,
        "unacked": reading.unacked,
        "busy": reading.busy,
        "work_s": reading.work_s,
        "arrivals_per_s": reading.arrivals_per_s,
        "service_s": reading.service_s,
        "oldest_s": reading.oldest_s,
        "longest_s": reading.longest_s,
    }
    wrong = [f"{k} = {v}" for k, v in numbers.items() if not (math.isfinite(v) and v >= 0)]
    return f"the reading makes no sense: {', '.join(wrong)}" if wrong else None


def _hold(
    pool: PoolTarget, reading: Reading, now: float, previous: Decision | None, why: str
) -> Decision:
    wanted = reading.wanted if isinstance(reading, Unreadable) else reading.fleet.wanted
    replicas = wanted
    if replicas is None and previous is not None:
        replicas = previous.applied if previous.applied is not None else previous.wanted
    return Decision(
        pool=pool.name,
        at=now,
        replicas=replicas,
        limiter="hold",
        reason=f"held at {'its scale' if replicas is None else replicas}: {why}",
        wanted=wanted,
        adopted=previous.adopted if previous else None,
    )


def _need(pool: PoolTarget, backlog: Backlog, now: float) -> tuple[int, str, dict[str, float]]:
    """Replicas, the limiter, and every term in replicas, before hands and clamps."""
    load = backlog.arrivals_per_s * backlog.service_s
    if not backlog.jobs and load < KEEP_ALIVE_LOAD:
        load = 0.0
    offered = load / pool.utilisation / pool.slots
    work, horizon_s = _work_term(pool, backlog)
    floor = _ceil(offered)
    busy = _ceil(backlog.busy / pool.slots)
    bound = _ceil(backlog.jobs / pool.slots)
    need, limiter = _ceil(offered + work), "drain"
    if need > bound:
        need, limiter = bound, "queue-bound"
    capacity = backlog.fleet.capacity
    if backlog.ready and need < min(capacity, bound):
        need, limiter = min(capacity, bound), "queued"
    if _is_stuck(pool, backlog):
        apart = min(bound, _ceil((backlog.busy + backlog.work_s / horizon_s) / pool.slots))
        need, limiter = (apart, "stuck") if apart > need else (need, limiter)
    elif need > max(capacity, floor) and _clears_soon(pool, backlog):
        need, limiter = max(capacity, floor), "clears-soon"
    if need <= floor and floor:
        need, limiter = floor, "offered-load" if backlog.jobs else "keep-alive"
    if need < busy:
        need, limiter = busy, "busy"
    if need < 1 and backlog.jobs:
        need, limiter = 1, "queue-bound"
    roomy = offered * (1.0 + _dead_band(backlog.arrivals_per_s))
    upper = min(_ceil(roomy + work), max(bound, _ceil(roomy)))
    # What is there and would be needed again with a little more load stays.
    if need < backlog.fleet.wanted <= upper:
        need, limiter = backlog.fleet.wanted, "dead-band"
    if need < 1:
        need, limiter = _parked(pool, backlog, now)
    return (
        need,
        limiter,
        {
            "offered": offered,
            "work": work,
            "busy": float(busy),
            "queue_bound": float(bound),
            "horizon_s": horizon_s,
        },
    )


def _dead_band(arrivals_per_s: float) -> float:
    """What chance adds to a rate: 1.5 standard deviations of it, averaged over `SLOW_S`, if
    arrivals are Poisson."""
    chance = 1.5 / math.sqrt(2.0 * SLOW_S * arrivals_per_s) if arrivals_per_s > 0.0 else 0.0
    return min(1.0, max(DEAD_BAND, chance))


def _work_term(pool: PoolTarget, backlog: Backlog) -> tuple[float, float]:
    """Replicas that clear the queue within the horizon, and the horizon."""
    s = backlog.service_s
    horizon_s = max(pool.drain_s - pool.startup_s, s)
    if not backlog.fleet.starting:
        left_s = pool.drain_s - backlog.oldest_s
        horizon_s = min(horizon_s, max(left_s, pool.startup_s, s))
    # Without any measure of service time the queue's bound decides, and at least one replica.
    horizon_s = max(horizon_s, 0.001)
    if not backlog.ready:
        return 0.0, horizon_s
    return (backlog.work_s + backlog.busy * s / 2) / horizon_s / pool.slots, horizon_s


def _is_stuck(pool: PoolTarget, backlog: Backlog) -> bool:
    """Whether the oldest job waits for too long, though none is starting: after its target and two
    starts, or, where the mean is known to be wrong, half of the target. Something takes longer
    than was measured: busy slots are not counted on."""
    patience_s = pool.drain_s + 2.0 * pool.startup_s
    if backlog.longest_s > LONG_OF_MEAN * backlog.service_s:
        patience_s = SUSPECT_SHARE * pool.drain_s
    return backlog.ready > 0 and not backlog.fleet.starting and backlog.oldest_s > patience_s


def _clears_soon(pool: PoolTarget, backlog: Backlog) -> bool:
    """Whether the fleet as it is will have cleared the queue before a new replica is up, though
    jobs keep arriving."""
    spare = backlog.fleet.capacity * pool.slots - backlog.arrivals_per_s * backlog.service_s
    left_s = backlog.work_s + backlog.busy * backlog.service_s / 2
    return spare > 0 and left_s <= spare * pool.startup_s


def _parked(pool: PoolTarget, backlog: Backlog, now: float) -> tuple[int, str]:
    """A pool without work and without arrivals: one replica stays for `idle_after_s`."""
    if backlog.fleet.wanted and now - backlog.last_work_at < pool.idle_after_s:
        return 1, "idle"
    return 0, "parked"


def _clamp(pool: PoolTarget, need: int, limiter: str) -> tuple[int, str]:
    if need < pool.min_replicas:
        return pool.min_replicas, "min"
    if need > pool.max_replicas:
        return pool.max_replicas, "max"
    return need, limiter


def _adopted(
    backlog: Backlog, now: float, previous: Decision | None, keep_s: float
) -> Adopted | None:
    """The scale that somebody set by hand, kept for as long as an idle pool would be."""
    if previous is None:
        return None
    before, wanted = previous.applied, backlog.fleet.wanted
    if before is not None and wanted != before:
        return Adopted(wanted, before, now + keep_s)
    if previous.adopted is not None and now < previous.adopted.until:
        return previous.adopted
    return None


def _inputs(pool: PoolTarget, backlog: Backlog) -> dict[str, float | int | bool]:
    fleet = backlog.fleet
    return {
        "read_at": backlog.at,
        "ready": backlog.ready,
        "unacked": backlog.unacked,
        "busy": backlog.busy,
        "work_s": backlog.work_s,
        "arrivals_per_s": backlog.arrivals_per_s,
        "service_s": backlog.service_s,
        "oldest_s": backlog.oldest_s,
        "longest_s": backlog.longest_s,
        "last_work_at": backlog.last_work_at,
        "wanted": fleet.wanted,
        "replicas_ready": fleet.ready,
        "replicas_starting": fleet.starting,
        "replicas_draining": fleet.draining,
        "replicas_idle": fleet.idle,
        "rolling": fleet.rolling,
        "drain_s": pool.drain_s,
        "slots": pool.slots,
        "utilisation": pool.utilisation,
        "startup_s": pool.startup_s,
        "idle_after_s": pool.idle_after_s,
        "min_replicas": pool.min_replicas,
        "max_replicas": pool.max_replicas,
    }


def _ceil(value: float) -> int:
    return math.ceil(min(value, _MANY) - _ROUNDING)
