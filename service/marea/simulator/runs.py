"""Play traces: one run, the oracle's family of runs, and medians over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from marea.simulator.cluster import Cluster
from marea.simulator.observe import Observer
from marea.simulator.scaler import Scaler
from marea.simulator.scalers.catalog import EXTRA, ORACLE, SCALERS
from marea.simulator.scalers.oracle import FAMILY, OracleScaler, Plan
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
    """The cheapest of the oracle's plans that drain as fast, and keep the promise as often, as
    any of them; see `scalers.oracle`."""
    found = [(plan, score(play(trace, OracleScaler(plan), seed, cluster))) for plan in FAMILY]
    fastest = min(result.drain_s or math.inf for _, result in found)
    fast = [each for each in found if (each[1].drain_s or math.inf) <= FASTEST * fastest]
    fewest = min(result.slo_misses for _, result in fast)
    kept = [each for each in fast if each[1].slo_misses <= fewest + NEARLY * len(trace.jobs)]
    return min(kept, key=lambda each: each[1].worker_seconds)[0]


def make_scaler(name: str, trace: Trace, seed: int, cluster: Cluster | None = None) -> Scaler:
    """A new scaler for one run of `trace`."""
    if name == ORACLE:
        return OracleScaler(best_plan(trace, seed, cluster))
    return (SCALERS | EXTRA)[name]()


def compare(
    make: TraceMaker, names: Sequence[str], seeds: int, cluster: Cluster | None = None
) -> dict[str, Score]:
    """The median of each figure over the seeds 0, 1, …, for each scaler."""
    scores: dict[str, list[Score]] = {name: [] for name in names}
    for seed in range(seeds):
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
