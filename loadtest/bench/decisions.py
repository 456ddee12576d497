"""How long the decisions of one tick take: `python -m loadtest.bench.decisions`.

Fifty pools with a queue, a fleet and a kinds' mix each: work-seconds, arrivals, decision, shared
budget and next step, as in each tick of the autoscaler; without what it reads and writes.
"""

from __future__ import annotations

import argparse
import statistics
import time

from marea.scaling.backlog import Backlog, Fleet, PoolTarget
from marea.scaling.budget import within_budget
from marea.scaling.policy import desired_replicas
from marea.scaling.service_times import Arrivals, Kind, ServiceTimes
from marea.scaling.step import Replica, next_step

MIX = {Kind(f"pipeline-{n}", n): 100 for n in range(12)}


def tick(pools: dict[str, PoolTarget], times: ServiceTimes, fleet: list[Replica]) -> int:
    """One tick's decisions; how many of them the budget cut."""
    now, decisions = 1000.0, []
    for number, pool in enumerate(pools.values()):
        rate = Arrivals(now - 2.0, 5.0, 5.0, 10_000, now - 2.0, 0.2).read(10_010 + number, now)
        reading = Backlog(
            pool=pool.name,
            at=now,
            ready=1200,
            unacked=80,
            busy=80,
            work_s=times.work_s(MIX),
            arrivals_per_s=rate.per_s,
            service_s=times.mean_s,
            oldest_s=float(number),
            fleet=Fleet(wanted=len(fleet), ready=len(fleet), idle=4),
        )
        decisions.append(desired_replicas(pool, reading, now))
    decisions = within_budget(len(pools) * 22, pools, decisions)
    for decision in decisions:
        next_step(decision, fleet, wanted=len(fleet), rolling=False, now=now)
        decision.as_json()
    return sum(each.limiter == "budget" for each in decisions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=50)
    parser.add_argument("--ticks", type=int, default=200)
    options = parser.parse_args()
    pools = {f"p{n}": PoolTarget(f"p{n}", 60.0) for n in range(options.pools)}
    times = ServiceTimes()
    for kind in MIX:
        times = times.seen(kind, 2.0)
    fleet = [Replica(f"r{n}", "ready", busy=4 if n < 20 else 0) for n in range(24)]
    took_ms = []
    for _ in range(options.ticks):
        began = time.perf_counter()
        cut = tick(pools, times, fleet)
        took_ms.append(1000.0 * (time.perf_counter() - began))
    took_ms.sort()
    print(
        f"{options.pools} pools, {cut} of them cut by the budget:"
        f" median {statistics.median(took_ms):.1f} ms,"
        f" p95 {took_ms[int(0.95 * len(took_ms))]:.1f} ms, most {took_ms[-1]:.1f} ms"
    )


if __name__ == "__main__":
    main()
