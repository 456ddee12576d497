"""A pool's life under its decisions, loop by loop."""

from __future__ import annotations

import itertools
import random

import pytest

from marea.scaling.backlog import PoolTarget
from tests.unit.scaling.closed_loop import TICK_S, Pool

TARGET = PoolTarget("images", drain_s=60.0)


def burst(count: int, work_s: float, at: float = 10.0) -> list[tuple[float, float]]:
    return [(at, work_s)] * count


def poisson(per_s: float, work_s: float, until: float, seed: int = 1) -> list[tuple[float, float]]:
    chance, at = random.Random(seed), 0.0
    arrivals = []
    while (at := at + chance.expovariate(per_s)) < until:
        arrivals.append((at, work_s))
    return arrivals


def test_a_burst_from_zero_is_answered_in_one_step_and_done_in_time() -> None:
    pool = Pool(TARGET, burst(2000, 1.0)).run(300.0)
    risen = [scale for scale in pool.scales if scale]
    assert risen[0] == max(pool.scales)
    assert pool.ended == 2000
    assert pool.last_end - 10.0 <= TARGET.drain_s + TICK_S
    assert pool.interrupted == 0


def test_a_pool_without_work_is_parked_after_its_time_and_not_before() -> None:
    pool = Pool(TARGET, burst(200, 1.0)).run(300.0)
    parked = next(i for i, each in enumerate(pool.decisions) if each.limiter == "parked" and i > 20)
    assert pool.scales[-1] == 0
    assert parked * TICK_S >= pool.last_end + TARGET.idle_after_s - 2 * TICK_S


def test_a_pool_that_keeps_up_is_never_parked() -> None:
    pool = Pool(TARGET, poisson(0.5, 1.0, 3600.0)).run(3600.0)
    first = next(i for i, scale in enumerate(pool.scales) if scale)
    assert min(pool.scales[first:]) >= 1
    assert max(pool.scales) <= 2


def test_jobs_longer_than_the_idle_time_keep_their_pool_between_them() -> None:
    pool = Pool(TARGET, [(300.0 * n, 150.0) for n in range(20)]).run(5900.0)
    assert min(pool.scales[300:]) >= 1


def test_a_rare_short_job_does_not_keep_its_pool() -> None:
    pool = Pool(TARGET, [(300.0 * n, 1.0) for n in range(20)]).run(5900.0)
    assert pool.ended == 20
    assert pool.scales.count(0) * TICK_S > 0.6 * 5900.0


def test_an_outage_of_the_reading_changes_nothing() -> None:
    pool = Pool(TARGET, burst(1000, 1.0), unreadable=lambda now: 60.0 <= now < 240.0).run(400.0)
    during = pool.scales[30:119]
    assert len(set(during)) == 1
    assert {each.limiter for each in pool.decisions[30:119]} == {"hold"}
    assert pool.ended == 1000
    assert pool.scales[-1] == 0


def test_a_scale_raised_by_hand_is_kept_for_a_while() -> None:
    pool = Pool(TARGET, [], by_hand=lambda now: 7 if now == 100.0 else None).run(300.0)
    at = int(100.0 / TICK_S)
    assert pool.scales[at - 2] == 0
    assert set(pool.scales[at : at + int(TARGET.idle_after_s / TICK_S) - 1]) == {7}
    assert "by hand" in pool.decisions[at - 1].reason
    assert pool.scales[-1] == 0


def test_a_scale_lowered_by_hand_below_the_need_is_raised_and_says_so() -> None:
    pool = Pool(TARGET, burst(2000, 1.0), by_hand=lambda now: 2 if now == 20.0 else None)
    pool.run(20.0)
    assert pool.scales[-1] > 2
    assert "by hand" in pool.decisions[-1].reason


def test_no_replica_is_removed_during_a_rollout() -> None:
    pool = Pool(TARGET, burst(400, 1.0), rolling=lambda now: 40.0 <= now < 200.0).run(400.0)
    during = pool.scales[20:99]
    assert during == sorted(during)
    assert any("rollout" in step.waiting for step in pool.steps[20:99])
    assert pool.scales[-1] == 0


def test_long_jobs_are_never_interrupted_while_the_queue_comes_and_goes() -> None:
    chance = random.Random(3)
    arrivals = sorted(
        (chance.uniform(0, 2000), chance.choice((0.2, 5.0, 120.0))) for _ in range(600)
    )
    pool = Pool(TARGET, arrivals).run(3000.0)
    assert pool.interrupted == 0
    assert pool.ended == 600


@pytest.mark.parametrize(("per_s", "work_s"), [(4.0, 1.0), (1.0, 10.0), (0.5, 30.0)])
def test_a_load_of_steady_chance_changes_the_scale_at_most_once_a_minute(
    per_s: float, work_s: float
) -> None:
    pool = Pool(TARGET, poisson(per_s, work_s, 1800.0)).run(1800.0)
    settled = pool.scales[150:]
    turns = sum(before != after for before, after in itertools.pairwise(settled))
    assert turns <= len(settled) * TICK_S / 60.0
    assert min(settled) * TARGET.slots >= per_s * work_s * 0.8
    assert pool.interrupted == 0


def test_a_load_without_chance_leaves_the_scale_alone() -> None:
    pool = Pool(TARGET, [(n * 0.5, 4.0) for n in range(1800)]).run(900.0)
    assert len(set(pool.scales[100:])) == 1


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_no_job_is_interrupted_and_all_end(seed: int) -> None:
    chance = random.Random(seed)
    arrivals = []
    for _ in range(chance.randint(1, 5)):
        start, length = chance.uniform(0.0, 800.0), chance.choice((1.0, 60.0, 300.0))
        for _ in range(chance.randint(10, 200)):
            work_s = chance.choice((0.2, 2.0, 5.0, 30.0, 120.0))
            arrivals.append((start + chance.uniform(0.0, length), work_s))
    pool = Pool(TARGET, sorted(arrivals), startup_s=chance.choice((2.0, 8.0, 20.0))).run(2500.0)
    assert pool.interrupted == 0
    assert pool.ended == len(arrivals)
    assert pool.scales[-1] == 0
