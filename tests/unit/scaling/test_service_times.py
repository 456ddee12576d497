"""Averages follow what happens, and say nothing of what was not seen."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marea.scaling.service_times import (
    MAX_KINDS,
    UNKNOWN_SERVICE_S,
    Arrivals,
    Kind,
    ServiceTimes,
    size_class,
)

SMALL, LARGE = Kind("thumbnail", 3), Kind("table", 9)


def taught(kind: Kind, *seconds: float, times: ServiceTimes | None = None) -> ServiceTimes:
    times = times or ServiceTimes()
    for each in seconds:
        times = times.seen(kind, each)
    return times


def counted(arrivals: list[float], until: float, tick_s: float = 2.0) -> Arrivals:
    rate, at = Arrivals(0.0, total=0), 0.0
    while at < until:
        at += tick_s
        rate = rate.read(sum(each <= at for each in arrivals), at)
    return rate


def test_a_pipeline_never_measured_is_not_taken_for_a_quick_one() -> None:
    assert ServiceTimes().expected_s(SMALL) == UNKNOWN_SERVICE_S
    assert taught(SMALL, 0.1, 0.1).expected_s(LARGE) == UNKNOWN_SERVICE_S
    assert taught(SMALL, 60.0).expected_s(LARGE) == 60.0


def test_another_size_of_the_same_pipeline_stands_in() -> None:
    times = taught(Kind("table", 8), 5.0, times=taught(Kind("table", 2), 1.0))
    assert times.expected_s(Kind("table", 9)) == 5.0
    assert times.expected_s(Kind("table", 0)) == 1.0


def test_jobs_that_run_on_correct_the_mean_of_those_that_ended() -> None:
    times = taught(LARGE, 2.0, 2.0)
    assert times.with_running({LARGE: [30.0, 50.0]}).expected_s(LARGE) == 80.0
    assert times.with_running({LARGE: [0.5, 1.5]}) == times
    assert ServiceTimes().with_running({LARGE: [90.0]}).expected_s(LARGE) == 180.0


def test_work_is_what_the_mix_takes() -> None:
    times = taught(LARGE, 60.0, times=taught(SMALL, 0.2))
    assert times.work_s({SMALL: 100, LARGE: 2}) == pytest.approx(140.0)
    assert times.longest_s([SMALL, LARGE]) == 60.0
    assert times.longest_s([]) == 0.0


def test_a_duration_that_makes_no_sense_is_left_out() -> None:
    assert taught(SMALL, math.nan, -1.0, math.inf) == ServiceTimes()


def test_jobs_counted_together_weigh_as_much_as_one_by_one() -> None:
    one_by_one = taught(SMALL, *[1.0] * 200, *[3.0] * 50)
    together = taught(SMALL, *[1.0] * 200).seen(SMALL, 150.0, jobs=50)
    assert together.expected_s(SMALL) == pytest.approx(one_by_one.expected_s(SMALL))
    assert together.kinds[SMALL].count == 250
    assert ServiceTimes().seen(SMALL, 10.0, jobs=0) == ServiceTimes()


def test_a_change_of_speed_is_followed() -> None:
    times = taught(SMALL, *[1.0] * 500, *[4.0] * 200)
    assert 3.9 < times.expected_s(SMALL) <= 4.0


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50))
def test_a_mean_lies_between_the_extremes(seconds: list[float]) -> None:
    expected = taught(SMALL, *seconds).expected_s(SMALL)
    assert min(seconds) * (1 - 1e-9) <= expected <= max(seconds) * (1 + 1e-9)


def test_reads_back_what_it_wrote() -> None:
    times = taught(LARGE, 60.0, 61.0, times=taught(SMALL, 0.2))
    assert ServiceTimes.from_json(json.loads(json.dumps(times.as_json()))) == times


def test_the_number_of_kinds_is_limited() -> None:
    times = taught(SMALL, 1.0, 1.0)
    for n in range(MAX_KINDS + 20):
        times = times.seen(Kind(f"p{n}", 0), 1.0)
    assert len(times.kinds) == MAX_KINDS
    assert SMALL in times.kinds


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 10**15))
def test_a_size_class_covers_a_factor_of_four(size: int) -> None:
    n = size_class(size)
    assert size <= 1024 * 4**n
    assert n == 0 or size > 1024 * 4 ** (n - 1)


def poisson(per_s: float, until: float) -> list[float]:
    chance, at, arrivals = random.Random(7), 0.0, []
    while (at := at + chance.expovariate(per_s)) < until:
        arrivals.append(at)
    return arrivals


@pytest.mark.parametrize("per_s", [0.5, 5.0, 50.0])
def test_a_steady_rate_is_found(per_s: float) -> None:
    found = counted(poisson(per_s, 400.0), 400.0).per_s
    assert found == pytest.approx(per_s, rel=4.0 / math.sqrt(per_s * 120.0))


def test_a_rising_rate_is_followed_and_carried_on() -> None:
    arrivals = [10.0 * math.sqrt(2.0 * n / 10.0) for n in range(5000)]  # 0.1 more per s, each s
    at = 100.0
    found = counted([each for each in arrivals if each <= at], at).per_s
    assert 0.85 <= found / (0.1 * at) <= 1.1


def test_a_burst_is_forgotten_soon_after_it() -> None:
    burst = [1.0] * 500
    assert counted(burst, 4.0).per_s > 0.0
    assert counted(burst, 20.0).per_s == 0.0


def test_a_burst_is_no_rate_until_it_goes_on() -> None:
    going_on = [1.0 + n / 100.0 for n in range(6000)]
    assert counted(going_on, 4.0).per_s < 15.0  # 31 without
    assert counted(going_on, 40.0).per_s == pytest.approx(100.0, rel=0.15)
    on_a_trickle = sorted([*(n * 1.0 for n in range(200)), *([200.0] * 400)])
    assert counted(on_a_trickle, 202.0).per_s < 25.0  # 36 without


def test_rare_arrivals_are_remembered_for_some_of_their_gaps() -> None:
    rare = [300.0 * n for n in range(1, 6)]
    assert counted(rare, 1700.0).per_s == pytest.approx(1 / 300, rel=0.05)
    assert counted(rare, 3100.0).per_s == 0.0


def test_a_counter_or_clock_that_went_back_starts_again() -> None:
    rate = counted(poisson(5.0, 100.0), 100.0)
    assert rate.read(0, 102.0).per_s == 0.0
    assert rate.read(0, 102.0).read(10, 104.0).per_s > 0.0
    earlier = rate.read(600, 50.0)
    assert earlier.at == 50.0
    assert earlier.read(610, 52.0).per_s >= 0.0
