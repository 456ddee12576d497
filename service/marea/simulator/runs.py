"""Play traces: one run, the oracle's family of runs, and medians over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from marea.simulator.cluster import Cluster
from marea.simulator.observe import Observer
from marea.simulator.scaler import Scaler
from marea.simulator.scalers.catalog import EXTRA, ORACLE, SCALERS
from marea.simulator.scalers.oracle import AHEADS_S, OracleScaler, Plan
from marea.simulator.score import Score, middle, score
from marea.simulator.trace import Trace
from marea.simulator.world import World

FASTEST = 1.02
"""A plan within 2 % of the fastest drain is as fast: the rest is the luck of start-ups."""

NEARLY = 0.01
"""Of all jobs: so many more late ones than the plan with the fewest are as good."""

TraceMaker = Callable[[int], Trace]
"""From a seed to a trace; a trace from a file is the same for every seed."""


def play(trace: Trace, scaler: Scaler, seed: int, cluster: Cluster | None = None) -> World:
    """One run to its end."""
    world = World(trace, scaler, cluster or Cluster(), seed)
    world.run()
    return world


def best_plan(trace: Trace, seed: int, cluster: Cluster | None = None) -> Plan:
    """The oracle's plan for this trace and these start-ups; `scalers.oracle` says which it is."""

    def judge(plan: Plan) -> Score:
        return score(play(trace, OracleScaler(plan), seed, cluster))

    most = max(pool.max_replicas for pool in trace.pools)
    if trace.cap is not None:
        most = min(most, trace.cap)
    fullest = {ahead_s: judge(Plan(most, ahead_s)) for ahead_s in AHEADS_S}
    fastest_s = min(_drain_s(each) for each in fullest.values())
    fewest = min(each.slo_misses for each in fullest.values())

    def is_as_good(found: Score) -> bool:
        is_kept = found.slo_misses <= fewest + NEARLY * len(trace.jobs)
        return is_kept and _drain_s(found) <= FASTEST * fastest_s

    plans: list[tuple[float, Plan]] = []
    for ahead_s, full in fullest.items():
        if not is_as_good(full):
            continue
        few, many, best = 1, most, full
        while few < many:
            found = judge(Plan((few + many) // 2, ahead_s))
            if is_as_good(found):
                many, best = (few + many) // 2, found
            else:
                few = (few + many) // 2 + 1
        plans.append((best.worker_seconds, Plan(many, ahead_s)))
    # The fastest and the least late plan can differ by luck; then the whole pool is the plan.
    return min(plans, key=lambda each: each[0])[1] if plans else Plan(most, AHEADS_S[-1])


def _drain_s(found: Score) -> float:
    return math.inf if found.drain_s is None else found.drain_s


def make_scaler(name: str, trace: Trace, seed: int, cluster: Cluster | None = None) -> Scaler:
    """A new scaler for one run of `trace`."""
    if name == ORACLE:
        return OracleScaler(best_plan(trace, seed, cluster))
    return (SCALERS | EXTRA)[name]()


def compare(
    make: TraceMaker, names: Sequence[str], seeds: Sequence[int], cluster: Cluster | None = None
) -> dict[str, Score]:
    """The median of each figure over the seeds, for each scaler."""
    scores: dict[str, list[Score]] = {name: [] for name in names}
    for seed in seeds:
        trace = make(seed)
        for name in names:
            scaler = make_scaler(name, trace, seed, cluster)
            scores[name].append(score(play(trace, scaler, seed, cluster)))
    return {name: middle(each) for name, each in scores.items()}


def observe(
    trace: Trace, name: str, seed: int, cluster: Cluster | None = None
) -> tuple[Observer, Score]:
    """One run, looked at each second."""
    observer = Observer(make_scaler(name, trace, seed, cluster))
    world = play(trace, observer, seed, cluster)
    return observer, score(world)
