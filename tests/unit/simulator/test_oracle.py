"""The oracle: what it knows, what it may not do, and that nobody else beats it by much."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marea.simulator.pod import Pod
from marea.simulator.pool import Pool
from marea.simulator.runs import best_plan, make_scaler, play
from marea.simulator.scalers.catalog import SCALERS
from marea.simulator.scalers.oracle import OracleScaler, Plan, ahead, fill, needed
from marea.simulator.score import score
from marea.simulator.trace import Job, PoolSpec, Trace
from marea.simulator.traces import TRACES

SPEC = PoolSpec(slots=2)


def test_the_need_is_what_first_come_first_served_keeps_busy() -> None:
    jobs = [Job(0.0, 3.0), Job(0.0, 3.0), Job(0.0, 3.0), Job(0.0, 1.0)]
    assert needed(jobs, SPEC, 5, ready_s=2.0, first_s=0.0) == [0, 0, 2, 2, 2, 2]
    assert needed(jobs, SPEC, 1, ready_s=2.0, first_s=0.0) == [0, 0, 1, 1, 1, 1, 1, 1, 1]


def test_many_jobs_in_one_second_are_not_counted_as_if_they_were_at_once() -> None:
    jobs = [Job(n / 10, 0.05) for n in range(20)]
    assert max(needed(jobs, SPEC, 50, ready_s=0.0, first_s=0.0)) == 1


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 10))
def test_looking_ahead_takes_the_highest_of_what_comes(values: list[int], ticks: int) -> None:
    assert ahead(values, ticks) == [max(values[n : n + ticks + 1]) for n in range(len(values))]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 100))
def test_a_cap_is_shared_so_that_nobody_has_less_for_anothers_sake(
    wants: list[int], cap: int
) -> None:
    given_out = fill(wants, cap)
    assert sum(given_out) == min(cap, sum(wants))
    assert all(got <= want for got, want in zip(given_out, wants, strict=True))
    short = [got for got, want in zip(given_out, wants, strict=True) if got < want]
    assert all(got <= min(short) + 1 for got in given_out if short)


def test_it_starts_nothing_before_the_first_arrival() -> None:
    created: list[float] = []

    class Watched(OracleScaler):
        def pod_ready(self, pool: Pool, pod: Pod) -> None:
            created.append(pod.created_s)

    play(Trace("late", "", (Job(500.0, 9.0), Job(700.0, 9.0))), Watched(Plan(50, 30.0)), 0)
    assert min(created) == 500.0
    assert max(created) < 700.0  # of the second it knows


def test_it_keeps_a_cap_of_all_pools() -> None:
    trace = TRACES["cap"](0)
    highest = 0

    class Watched(OracleScaler):
        def _tick(self, world) -> None:  # type: ignore[no-untyped-def]
            nonlocal highest
            super()._tick(world)
            highest = max(highest, sum(pool.wanted for pool in world.pools.values()))

    play(trace, Watched(Plan(30, 10.0)), 0)
    assert highest == 30


@pytest.mark.parametrize("name", SCALERS)
def test_no_scaler_drains_a_burst_faster(name: str) -> None:
    """By more than the 2 % that the oracle trades for worker-seconds."""
    trace = TRACES["burst"](7)
    best = score(play(trace, OracleScaler(best_plan(trace, 7)), 7)).drain_s
    other = score(play(trace, make_scaler(name, trace, 7), 7)).drain_s
    assert best is not None
    assert other is not None
    assert best <= 1.03 * other


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0.1, 60)), min_size=1, max_size=40))
def test_whatever_comes_it_drains_it_without_an_interruption(
    arrivals: list[tuple[float, float]],
) -> None:
    trace = Trace("any", "", tuple(Job(at_s, work_s) for at_s, work_s in sorted(arrivals)))
    judged = score(play(trace, make_scaler("oracle", trace, 1), 1))
    assert judged.drain_s is not None
    assert judged.interrupted == 0
