"""The HPA's algorithm: tolerance, limits, windows and rules as its controller has them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.simulator.scalers.hpa import SYNC_S, Behaviour, Hpa, HpaSpec, Rules

TUNED = Behaviour(up=Rules(window_s=0.0, percent=100), down=Rules(window_s=60.0, percent=100))


def ladder(hpa: Hpa, metrics: Iterable[float | None], start: int = 1) -> list[int]:
    """The scale after each of a row of syncs, 15 s apart, each pod being there at once."""
    wanted, steps = start, []
    for position, metric in enumerate(metrics):
        wanted = hpa.sync(position * SYNC_S, wanted, wanted, metric)
        steps.append(wanted)
    return steps


def test_without_behaviour_a_rise_is_to_four_and_then_doubles() -> None:
    assert ladder(Hpa(HpaSpec(5.0, 50)), [4000.0] * 6) == [4, 8, 16, 32, 50, 50]


def test_with_a_default_behaviour_four_pods_or_double_whichever_is_more() -> None:
    assert ladder(Hpa(HpaSpec(4.0, 50, behaviour=Behaviour())), [4000.0] * 5) == [5, 10, 20, 40, 50]


def test_with_percent_alone_the_first_step_is_two() -> None:
    assert ladder(Hpa(HpaSpec(4.0, 50, behaviour=TUNED)), [4000.0] * 6) == [2, 4, 8, 16, 32, 50]


def test_within_a_period_the_rise_so_far_counts_against_the_rule() -> None:
    hpa = Hpa(HpaSpec(4.0, 50, behaviour=TUNED))
    assert hpa.sync(0.0, 10, 10, 4000.0) == 20
    assert hpa.sync(5.0, 20, 20, 4000.0) == 20
    assert hpa.sync(15.0, 20, 20, 4000.0) == 40


@pytest.mark.parametrize(("metric", "wanted"), [(44.0, 10), (45.0, 12), (36.0, 10), (35.0, 9)])
def test_nothing_happens_within_ten_per_cent(metric: float, wanted: int) -> None:
    """Also where it hurts: with 10 replicas of 4 slots, tasks 41 to 44 get no pod."""
    hpa = Hpa(HpaSpec(4.0, 50, behaviour=Behaviour(down=Rules(window_s=0.0))))
    assert hpa.sync(0.0, 10, 10, metric) == wanted


def test_a_fall_waits_for_five_minutes_of_low_readings() -> None:
    steps = ladder(Hpa(HpaSpec(5.0, 50)), [250.0] + [5.0] * 21, start=50)
    assert steps[:20] == [50] * 20
    assert steps[20:] == [1, 1]


def test_the_window_of_a_behaviour_is_kept() -> None:
    steps = ladder(Hpa(HpaSpec(4.0, 50, behaviour=TUNED)), [200.0] + [4.0] * 5, start=50)
    assert steps == [50, 50, 50, 50, 1, 1]


def test_a_rule_for_the_fall_limits_it() -> None:
    down = Rules(window_s=0.0, percent=50)
    hpa = Hpa(HpaSpec(4.0, 50, behaviour=Behaviour(down=down)))
    assert ladder(hpa, [0.0] * 4, start=40) == [20, 10, 5, 2]


def test_beyond_the_maximum_it_is_cut_at_once_whatever_the_window() -> None:
    assert Hpa(HpaSpec(5.0, 20)).sync(0.0, 35, 35, 9999.0) == 20


def test_zero_replicas_switch_it_off_unless_zero_is_its_minimum() -> None:
    assert Hpa(HpaSpec(5.0, 50)).sync(0.0, 0, 0, 4000.0) == 0
    assert Hpa(HpaSpec(5.0, 50, min_replicas=0)).sync(0.0, 0, 0, 4000.0) == 4


@given(st.lists(st.floats(0, 5000), min_size=1), st.integers(0, 80))
def test_what_cannot_be_read_changes_nothing(metrics: list[float], start: int) -> None:
    hpa = Hpa(HpaSpec(5.0, 50))
    before = ladder(hpa, metrics, start)[-1]
    assert hpa.sync(len(metrics) * SYNC_S, before, before, None) == before


@given(st.lists(st.floats(0, 5000), min_size=1), st.integers(1, 50), st.booleans())
def test_it_stays_between_its_limits(metrics: list[float], start: int, tuned: bool) -> None:
    hpa = Hpa(HpaSpec(5.0, 50, behaviour=TUNED if tuned else None))
    assert all(1 <= wanted <= 50 for wanted in ladder(hpa, metrics, start))
