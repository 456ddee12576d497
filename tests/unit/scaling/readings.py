"""Strategies: pools and readings of them, from likely to absurd."""

from __future__ import annotations

from hypothesis import strategies as st

from marea.scaling.backlog import Backlog, Fleet, PoolTarget

NOW = 10_000.0


@st.composite
def targets(draw: st.DrawFn, name: str = "images") -> PoolTarget:
    low = draw(st.integers(0, 5))
    high = draw(st.integers(max(1, low), 200))
    return PoolTarget(
        name,
        drain_s=draw(st.floats(1.0, 3600.0)),
        slots=draw(st.integers(1, 16)),
        min_replicas=low,
        max_replicas=high,
        utilisation=draw(st.floats(0.1, 1.0)),
        startup_s=draw(st.floats(0.0, 120.0)),
        idle_after_s=draw(st.floats(0.0, 600.0)),
        weight=draw(st.floats(0.1, 10.0)),
        floor=draw(st.integers(0, high)),
    )


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    ready, starting, draining = (draw(st.integers(0, 60)) for _ in range(3))
    return Fleet(
        wanted=draw(st.one_of(st.just(ready + starting + draining), st.integers(0, 200))),
        ready=ready,
        starting=starting,
        draining=draining,
        idle=draw(st.integers(0, ready)),
        rolling=draw(st.booleans()),
    )


@st.composite
def backlogs(draw: st.DrawFn, pool: str = "images") -> Backlog:
    ready = draw(st.integers(0, 100_000))
    return Backlog(
        pool=pool,
        at=NOW - draw(st.floats(0.0, 10.0)),
        ready=ready,
        unacked=draw(st.integers(0, 1000)),
        busy=draw(st.integers(0, 1000)),
        work_s=ready * draw(st.floats(0.0, 100.0)),
        arrivals_per_s=draw(st.one_of(st.just(0.0), st.floats(0.0, 1000.0))),
        service_s=draw(st.floats(0.0, 600.0)),
        oldest_s=draw(st.floats(0.0, 10_000.0)),
        longest_s=draw(st.floats(0.0, 2000.0)),
        last_work_at=NOW - draw(st.floats(0.0, 1000.0)),
        fleet=draw(fleets()),
    )
