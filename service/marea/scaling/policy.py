"""How many replicas a pool needs: one pure function, used by the autoscaler, `explain` and the
simulator alike.

    offered = λ · s / u                      slots that the arrivals keep busy
    work    = (W + busy · s/2) / H           slots that clear the queue in time; 0 if it is empty
    N       = ceil((offered + work) / c)

    at least  ceil(busy / c)                 a busy replica is never taken away
    at most   ceil((ready + unacked) / c)    more slots than jobs help nobody; `offered` aside
    clamped   to min_replicas … max_replicas

λ arrivals/s, s mean service time in s, W work-seconds of the ready jobs, c slots per replica,
u target utilisation in (0, 1], busy slots that run a job, each with s/2 left on average. The
horizon H is the time in which the queue has to be gone:

    H = max(T - startup, s)                  as planned, when replicas have yet to start
    H = min(that, max(T - oldest, startup, s))   once none is starting: the time that is left of T

so a fleet that keeps to its plan is left alone, and one that fell behind grows, but never to
finish sooner than its new replicas need to start. When the fleet that is there clears the queue
within `startup`, no replica is added for it: it would come too late to help.

Sources: offered load is Little's law (jobs in service = λ · s); backlog over time is "acceptable
backlog per instance" of AWS's guide to scaling on SQS, with seconds of work in place of messages,
and Dask's `target_duration`; counting the running jobs is Airflow's query; 0 to N in one step,
with starting replicas counted, is Knative's panic mode without its overshoot.
"""

from __future__ import annotations

import math

from marea.scaling.backlog import Backlog, PoolTarget, Reading, Unreadable
from marea.scaling.decision import Decision


def desired_replicas(
    pool: PoolTarget, backlog: Reading, now: float, previous: Decision | None = None
) -> Decision:
    """The replicas that `pool` needs at `now`, and why. `previous` is the last decision, if any:
    with it a scale that somebody changed by hand is noticed, and a clock that went back."""
    if isinstance(backlog, Unreadable):
        return _hold(pool, backlog, now, previous, backlog.reason)
    if backlog.at > now:
        return _hold(pool, backlog, now, previous, "the clock went back")
    return _sized(pool, backlog, now)


def _hold(
    pool: PoolTarget, reading: Reading, now: float, previous: Decision | None, why: str
) -> Decision:
    wanted = reading.wanted if isinstance(reading, Unreadable) else reading.fleet.wanted
    if wanted is None and previous is not None:
        wanted = previous.replicas
    return Decision(pool.name, now, wanted, "hold", f"held as it is: {why}")


def _sized(pool: PoolTarget, backlog: Backlog, now: float) -> Decision:
    s = backlog.service_s
    offered = backlog.arrivals_per_s * s / pool.utilisation
    horizon = max(pool.drain_s - pool.startup_s, s, 0.001)
    work = (backlog.work_s + backlog.busy * s / 2) / horizon if backlog.ready else 0.0
    floor = math.ceil(offered / pool.slots)
    bound = math.ceil(backlog.jobs / pool.slots)
    need, limiter = math.ceil((offered + work) / pool.slots), "drain"
    if need > bound:
        need, limiter = bound, "queue-bound"
    if need <= floor:
        need, limiter = floor, "offered-load"
    busy = math.ceil(backlog.busy / pool.slots)
    if need < busy:
        need, limiter = busy, "busy"
    if need < 1 and now - backlog.last_work_at < pool.idle_after_s and backlog.fleet.wanted:
        need, limiter = 1, "keep-alive"
    if need < pool.min_replicas:
        need, limiter = pool.min_replicas, "min"
    if need > pool.max_replicas:
        need, limiter = pool.max_replicas, "max"
    return Decision(
        pool.name,
        now,
        need,
        limiter,
        f"{backlog.ready} ready, {backlog.work_s:.0f} work-seconds, {backlog.busy} busy slots",
        wanted=backlog.fleet.wanted,
    )
