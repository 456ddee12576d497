"""What the policy reaches in the simulator, beside the oracle and beside a well-set KEDA.

Few seeds, so that it takes seconds; docs/simulator.md has the table over five.
"""

from __future__ import annotations

from functools import cache

import pytest

from marea.simulator.cluster import P95_OF_MEDIAN, Cluster
from marea.simulator.runs import compare
from marea.simulator.score import Score
from marea.simulator.traces import TRACES

SLOW = ("spikes", "ramp", "outage")
"""Some 10,000 jobs over 10 or 20 minutes: one seed; of the others three."""


@cache
def judged(trace: str, policy: str) -> Score:
    seeds = range(1) if trace in SLOW else range(3)
    return compare(TRACES[trace], [policy], seeds)[policy]


@pytest.mark.parametrize("trace", ["burst", "spikes", "ramp", "mixed"])
def test_drains_nearly_as_fast_as_who_knows_all_for_little_more(trace: str) -> None:
    ours, best = judged(trace, "builtin"), judged(trace, "oracle")
    assert ours.drain_s is not None
    assert best.drain_s is not None
    assert ours.drain_s <= 1.25 * best.drain_s
    assert ours.worker_seconds <= 1.3 * best.worker_seconds


def test_an_outage_costs_no_more_than_its_length() -> None:
    ours, best = judged("outage", "builtin"), judged("outage", "oracle")
    assert ours.drain_s is not None
    assert best.drain_s is not None
    assert ours.drain_s <= 1.25 * best.drain_s + TRACES["outage"](0).outage_s


@pytest.mark.parametrize("trace", ["burst", "spikes", "long", "mixed"])
def test_waits_are_at_most_six_tenths_of_a_tuned_kedas(trace: str) -> None:
    ours, tuned = judged(trace, "builtin"), judged(trace, "keda-tuned")
    assert ours.wait_p95_s <= 0.6 * tuned.wait_p95_s
    assert ours.worker_seconds <= tuned.worker_seconds


@pytest.mark.parametrize("trace", ["ramp", "trickle", "outage", "cold", "cap", "small-burst"])
def test_elsewhere_waits_are_no_longer_than_a_tuned_kedas(trace: str) -> None:
    ours, tuned = judged(trace, "builtin"), judged(trace, "keda-tuned")
    assert ours.wait_p95_s <= tuned.wait_p95_s
    # 1 %: a pool that starts some seconds earlier is there for so much longer.
    assert ours.worker_seconds <= 1.01 * tuned.worker_seconds


@pytest.mark.parametrize("trace", ["small-burst", "cap"])
def test_where_starts_are_slow_a_surplus_is_given_back_before_it_is_up(trace: str) -> None:
    slow = Cluster(start_median_s=25.0, start_p95_s=25.0 * P95_OF_MEDIAN)
    scores = compare(TRACES[trace], ["builtin", "keda-tuned"], range(3), slow)
    ours, tuned = scores["builtin"], scores["keda-tuned"]
    assert ours.wait_p95_s <= 0.6 * tuned.wait_p95_s
    assert ours.worker_seconds <= tuned.worker_seconds


def test_nobody_waits_too_long_behind_long_jobs_of_which_none_has_ended() -> None:
    """What runs tells how long it has run; by what has ended, a job takes 2 s."""
    assert judged("long", "builtin").slo_misses == 0
    assert judged("long", "builtin").wait_p99_s < 60.0


@pytest.mark.parametrize("trace", TRACES)
def test_nothing_that_runs_is_ever_interrupted(trace: str) -> None:
    ours = judged(trace, "builtin")
    assert ours.interrupted == 0
    assert ours.lost_work_s == 0
    assert ours.drain_s is not None


def test_scale_in_that_does_not_look_kills_long_jobs_even_with_ten_minutes_of_grace() -> None:
    assert judged("long", "keda-tuned").interrupted > 0
    assert judged("long", "knative").interrupted > 0


def test_a_pool_that_keeps_up_is_not_parked() -> None:
    """Half a slot's worth of work: default KEDA sees an empty list and lets it go cold."""
    assert judged("trickle", "builtin").actions <= 4
    assert judged("trickle", "builtin").wait_p99_s < 1.0
    assert judged("trickle", "keda").wait_p99_s > 10.0
