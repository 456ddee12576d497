"""How a growth is found and called: exponents of power laws, and what a fit alone would miss."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.slopes.fit import FLAT, LINEAR, Fit, Growth, Measure, Point, fit, growth

DECADES = (100.0, 1_000.0, 10_000.0, 100_000.0)
exponents = st.floats(-2.0, 3.0)
factors = st.floats(1e-6, 1e6)
sizes = st.lists(st.integers(1, 10**9), min_size=2, max_size=6, unique=True)


def law(exponent: float, factor: float = 1.0, at: tuple[float, ...] = DECADES) -> tuple[Point, ...]:
    return tuple(Point(size, (factor * size**exponent,)) for size in at)


def line(slope: float, last_step: float) -> Fit:
    return Fit(slope, 1.0, last_step, slope, slope)


@given(exponents, factors, sizes)
def test_the_exponent_of_a_power_law_is_found(
    exponent: float, factor: float, at: list[int]
) -> None:
    # Sizes next to each other leave a line nothing to lie on but rounding.
    at = [size for size in at if size == min(at) or size >= 2 * min(at)]
    if len(at) < 2:
        return
    found = fit([Point(size, (factor * float(size) ** exponent,)) for size in at])
    assert found.slope == pytest.approx(exponent, abs=1e-6)
    assert found.at(at[0]) == pytest.approx(factor * float(at[0]) ** exponent, rel=1e-4)


@given(exponents, factors)
def test_the_order_of_the_points_and_the_unit_of_the_values_change_no_slope(
    exponent: float, factor: float
) -> None:
    ups = fit(law(exponent))
    downs = fit(tuple(reversed(law(exponent, factor))))
    assert (ups.slope, ups.last_step) == pytest.approx((downs.slope, downs.last_step), abs=1e-6)


@given(exponents, st.lists(st.floats(1.0, 1.4), min_size=4, max_size=4))
def test_noise_of_forty_percent_moves_a_slope_over_three_decades_by_less_than_a_tenth(
    exponent: float, noise: list[float]
) -> None:
    """So that noise alone makes nothing flat look linear, and nothing linear look worse."""
    noisy = [
        Point(point.at, (point.median * factor,))
        for point, factor in zip(law(exponent), noise, strict=True)
    ]
    assert abs(fit(noisy).slope - exponent) < 0.1


@given(exponents)
def test_a_law_is_called_by_its_exponent(exponent: float) -> None:
    if min(abs(exponent - edge) for edge in (-FLAT, FLAT, LINEAR)) < 1e-6:
        return
    expected = (
        Growth.FALLING
        if exponent < -FLAT
        else Growth.FLAT
        if exponent < FLAT
        else Growth.LINEAR
        if exponent < LINEAR
        else Growth.WORSE
    )
    assert growth(fit(law(exponent))) is expected


@given(st.floats(-2.0, 3.0), st.floats(-2.0, 3.0), st.floats(0.0, 1.0))
def test_a_steeper_line_is_never_called_better(slope: float, last: float, more: float) -> None:
    assert growth(line(slope + more, last)) >= growth(line(slope, last))
    assert growth(line(slope, last + more)) >= growth(line(slope, last))


@pytest.mark.parametrize(
    ("slope", "verdict"), [(0.15, Growth.LINEAR), (1.15, Growth.LINEAR), (-0.15, Growth.FALLING)]
)
def test_the_edges_belong_to_linear_and_to_falling(slope: float, verdict: Growth) -> None:
    assert growth(line(slope, slope)) is verdict


def test_what_is_flat_until_its_last_decade_and_quadratic_there_is_worse() -> None:
    bent = (Point(1e2, (1.0,)), Point(1e3, (1.0,)), Point(1e4, (1.0,)), Point(1e5, (100.0,)))
    assert fit(bent).slope < LINEAR
    assert growth(fit(bent)) is Growth.WORSE


def test_an_overhead_that_fades_before_a_linear_rest_is_linear() -> None:
    points = [Point(size, (5.0 + 0.001 * size,)) for size in DECADES]
    assert growth(fit(points)) is Growth.LINEAR


def test_a_figure_per_job_must_be_flat_where_a_time_may_be_linear() -> None:
    """A sum of what grows linearly per job is quadratic."""
    points = law(0.5)
    assert Measure("decision", "ms", "queued jobs", points).passes
    assert not Measure("bytes", "bytes", "queued jobs", points, allowed=Growth.FLAT).passes


def test_the_fit_is_made_of_medians_and_its_spread_of_the_repeats() -> None:
    points = [Point(10.0, (1.0, 1.0, 8.0)), Point(1_000.0, (1.0, 100.0, 100.0))]
    found = fit(points)
    assert found.slope == pytest.approx(1.0)
    assert found.low == pytest.approx(0.0)
    assert found.high == pytest.approx(1.0)


def test_repeats_of_unequal_number_have_no_spread() -> None:
    found = fit([Point(10.0, (1.0, 2.0)), Point(100.0, (10.0,))])
    assert found.low == found.high == found.slope


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([], "two sizes or more"),
        ([Point(10.0, (1.0,))], "two sizes or more"),
        ([Point(10.0, (1.0,)), Point(10.0, (2.0,))], "each once"),
        ([Point(10.0, (1.0,)), Point(100.0, (0.0,))], "at size 100 .* above 0"),
        ([Point(10.0, (1.0,)), Point(100.0, (3.0, -2.0))], "at size 100 .* above 0"),
        ([Point(10.0, ()), Point(100.0, (3.0,))], "at size 10 "),
    ],
)
def test_what_has_no_slope_is_refused_with_a_sentence(points: list[Point], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit(points)


def test_a_line_is_where_its_law_is() -> None:
    assert fit(law(2.0, 3.0)).at(7.0) == pytest.approx(147.0)
    assert math.isclose(fit(law(0.0, 42.0)).at(1e6), 42.0)
