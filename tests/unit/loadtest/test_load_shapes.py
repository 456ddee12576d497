"""Shapes of a load: a rate at each moment, and the uploads that come of it."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_shapes import any_shape, shapes_of
from pydantic import ValidationError

from loadtest.schedule import arrival_times
from loadtest.shapes import SHAPES, Shape
from loadtest.shapes.burst_then_idle import BurstThenIdle
from loadtest.shapes.double_wave import DoubleWave
from loadtest.shapes.peak import Peak
from loadtest.shapes.ramp import Ramp
from loadtest.shapes.sawtooth import Sawtooth
from loadtest.shapes.spike import Spike
from loadtest.shapes.steady import Steady
from loadtest.shapes.step import Step

PEAK = Peak(base_per_s=5, times=20, before_s=4, peak_s=3, after_s=6)


def integral(shape: Shape, pieces: int = 4000) -> float:
    """Uploads under the rate, by the middles of small pieces between two edges."""
    whole = 0.0
    for from_s, to_s in pairwise(sorted(set(shape.edges))):
        length = (to_s - from_s) / pieces
        rates = (shape.rate_at(from_s + (number + 0.5) * length) for number in range(pieces))
        whole += math.fsum(rates) * length
    return whole


def counted(times: list[float], from_s: float, to_s: float) -> int:
    return sum(from_s <= at_s < to_s for at_s in times)


@given(shape=any_shape, share=st.floats(0.0, 1.0))
def test_a_rate_is_never_below_zero_and_never_above_the_highest(shape: Shape, share: float) -> None:
    rate = shape.rate_at(share * shape.duration_s)
    # A smooth shape's highest is looked for at a thousand moments: a hair is between two.
    assert 0.0 <= rate <= shape.highest_per_s * 1.001 + 1e-9


@given(shape=any_shape)
def test_the_highest_rate_is_reached_at_some_moment(shape: Shape) -> None:
    moments = [shape.duration_s * number / 1000 for number in range(1000)]
    within = [(first + last) / 2 for first, last in pairwise(sorted(set(shape.edges)))]
    just_before = [max(0.0, at_s - 1e-9) for at_s in shape.edges]
    reached = max(shape.rate_at(at) for at in (*moments, *within, *just_before, *shape.edges))
    assert reached == pytest.approx(shape.highest_per_s, rel=1e-3, abs=1e-6)


@given(shape=any_shape)
def test_edges_ascend_from_the_beginning_to_the_end(shape: Shape) -> None:
    assert shape.edges[0] == 0.0
    assert list(shape.edges) == sorted(shape.edges)
    assert shape.edges[-1] == pytest.approx(shape.duration_s)


@pytest.mark.parametrize("name", SHAPES)
def test_each_setting_of_a_shape_says_what_it_means(name: str) -> None:
    kind = SHAPES[name]
    assert kind.__doc__
    assert kind.model_fields
    assert all(field.description for field in kind.model_fields.values())


@pytest.mark.parametrize("name", SHAPES)
def test_a_setting_that_no_shape_knows_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="color"):
        SHAPES[name].model_validate({"color": "red"})


@pytest.mark.parametrize(
    "wrong", [{"per_s": -1, "for_s": 5}, {"per_s": 1, "for_s": 0}, {"per_s": "nan", "for_s": 5}]
)
def test_a_setting_outside_its_limits_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Steady.model_validate(wrong)


@settings(max_examples=60)
@given(shape=any_shape)
def test_uploads_ascend_within_the_duration_and_are_as_many_as_the_rate_tells(
    shape: Shape,
) -> None:
    times = arrival_times(shape)
    assert all(first <= later + 1e-9 for first, later in pairwise(times))
    assert all(-1e-9 <= at_s <= shape.duration_s + 1e-9 for at_s in times)
    assert abs(len(times) - integral(shape, 200)) <= 1.0 + 0.001 * len(times)


@pytest.mark.parametrize("name", SHAPES)
def test_clients_on_their_own_come_as_often_as_the_rate_tells(name: str) -> None:
    @settings(max_examples=5, derandomize=True)
    @given(shape=shapes_of(name), seed=st.integers(0, 10_000))
    def hold(shape: Shape, seed: int) -> None:
        times = arrival_times(shape, chance=random.Random(seed))
        expected = integral(shape, 200)
        assert times == sorted(times)
        # Five standard deviations of a Poisson number.
        assert abs(len(times) - expected) <= 5 * math.sqrt(expected) + 1

    hold()


@settings(max_examples=40)
@given(shape=any_shape, factor=st.floats(0.1, 5.0))
def test_a_factor_multiplies_the_uploads_and_not_the_time(shape: Shape, factor: float) -> None:
    times = arrival_times(shape, factor)
    assert abs(len(times) - factor * integral(shape, 200)) <= 1.0 + 0.001 * len(times)
    assert all(at_s <= shape.duration_s + 1e-9 for at_s in times)


def test_a_peak_has_sheer_edges() -> None:
    times = arrival_times(PEAK)
    assert counted(times, 0, 4) == 20
    assert counted(times, 4, 7) == 300
    assert counted(times, 7, 13.1) == 30
    assert counted(times, 3, 4) == 5
    assert counted(times, 4, 5) == 100


def test_even_uploads_of_a_steady_load_have_one_distance() -> None:
    times = arrival_times(Steady(per_s=10, for_s=5))
    assert times[0] == pytest.approx(0.05)
    assert [later - first for first, later in pairwise(times)] == pytest.approx([0.1] * 49)


def test_each_step_is_higher_by_the_same() -> None:
    times = arrival_times(Step(first_per_s=10, step_per_s=5, step_s=4, steps=3))
    assert [counted(times, at, at + 4) for at in (0, 4, 8)] == [40, 60, 80]


def test_after_a_burst_nothing_comes_until_the_next() -> None:
    times = arrival_times(BurstThenIdle(uploads=50, within_s=1, idle_s=4, bursts=2))
    assert [counted(times, at, at + 1) for at in (0, 1, 5, 6)] == [50, 0, 50, 0]


def test_a_tooth_breaks_off_at_its_tip() -> None:
    shape = Sawtooth(low_per_s=0, high_per_s=20, tooth_s=5, teeth=2)
    assert shape.rate_at(4.999) == pytest.approx(20, rel=1e-3)
    assert shape.rate_at(5.0) == 0.0
    assert len(arrival_times(shape)) == 100


def test_a_spike_rises_and_falls_in_straight_lines() -> None:
    shape = Spike(base_per_s=2, top_per_s=22, before_s=10, rise_s=4, top_s=3, fall_s=8, after_s=5)
    rates = [shape.rate_at(at) for at in (0, 9.9, 12, 14, 15.5, 17, 21, 25, 30)]
    assert rates == pytest.approx([2, 2, 12, 22, 22, 22, 12, 2, 2])


def test_each_wave_has_the_height_that_was_given() -> None:
    shape = DoubleWave(base_per_s=1, first_per_s=10, second_per_s=20, for_s=60)
    assert shape.rate_at(15) == pytest.approx(10, rel=1e-3)
    assert shape.rate_at(45) == pytest.approx(20, rel=1e-3)
    assert shape.rate_at(30) < 2


def test_a_wave_below_the_base_is_none() -> None:
    shape = DoubleWave(base_per_s=10, first_per_s=2, second_per_s=20, for_s=60)
    assert shape.rate_at(15) == pytest.approx(10, rel=1e-3)


def test_a_steep_ramp_sends_what_is_under_its_line() -> None:
    times = arrival_times(Ramp(from_per_s=0, to_per_s=1000, for_s=10))
    assert len(times) == pytest.approx(5000, abs=1)
    assert counted(times, 0, 5) == pytest.approx(1250, abs=1)
