"""What a peak does to a pool: by arithmetic, by what must always hold, and in a queue played."""

from __future__ import annotations

import math

import pytest
from capacity_queue import p95_wait_in_peak_s
from hypothesis import given
from hypothesis import strategies as st

from marea.scaling.capacity import Load, slots_for, wait_s
from marea.scaling.capacity_peak import Peak, Ramp, absorb, slots_for_peak

loads = st.builds(
    Load,
    per_s=st.floats(0.01, 20.0),
    service_s=st.floats(0.05, 5.0),
    service_cv=st.floats(0.0, 3.0),
)
peaks = st.builds(Peak, factor=st.floats(1.0, 30.0), lasts_s=st.floats(1.0, 3600.0))


def test_the_queue_is_what_came_less_what_was_served() -> None:
    """20 a second for 60 s upon 5 slots of a second each: 15 a second stay, and 4 a second go."""
    found = absorb(Load(1.0, 1.0, 0.0), Peak(20.0, 60.0), Ramp.steady(5))
    assert found.backlog == found.backlog_at_end == pytest.approx(900.0)
    assert found.longest_wait_s == pytest.approx(180.0)
    assert found.drain_s == pytest.approx(225.0)
    assert 0.95 * 180.0 <= found.p95_wait_s < 1.1 * 180.0


def test_replicas_that_start_during_the_peak_help_from_then_on() -> None:
    """10 s at 15 more a second, then 20 s at 5 fewer. Who comes at 2.5 s is served just as the
    others start, 7.5 s later, and waits longest."""
    found = absorb(Load(1.0, 1.0, 0.0), Peak(20.0, 30.0), Ramp(5, 25, startup_s=10.0))
    assert found.backlog == pytest.approx(150.0)
    assert found.backlog_at_end == pytest.approx(50.0)
    assert found.drain_s == pytest.approx(50.0 / 24.0)
    assert found.longest_wait_s == pytest.approx(7.5, rel=0.005)


def test_replicas_that_start_after_the_peak_help_to_drain() -> None:
    """15 a second for 4 s, then 4 a second fewer for 6 s, then 24 fewer."""
    found = absorb(Load(1.0, 1.0, 0.0), Peak(20.0, 4.0), Ramp(5, 25, startup_s=10.0))
    assert found.backlog == found.backlog_at_end == pytest.approx(60.0)
    assert found.drain_s == pytest.approx(6.0 + 36.0 / 24.0)


def test_a_queue_that_is_gone_before_the_replicas_have_started_needs_none_of_them() -> None:
    found = absorb(Load(1.0, 1.0, 0.0), Peak(20.0, 1.0), Ramp(10, 20, startup_s=60.0))
    assert found.backlog == pytest.approx(10.0)
    assert found.drain_s == pytest.approx(10.0 / 9.0)


def test_a_pool_that_is_too_small_for_the_usual_load_never_drains() -> None:
    assert absorb(Load(10.0, 1.0), Peak(2.0, 10.0), Ramp.steady(10)).drain_s == math.inf


@given(loads, st.integers(1, 200))
def test_a_peak_that_is_none_leaves_no_queue_where_the_slots_suffice(
    load: Load, spare: int
) -> None:
    slots = math.floor(load.offered) + spare
    found = absorb(load, Peak(1.0, 60.0), Ramp.steady(slots))
    assert (found.backlog, found.drain_s) == (0.0, 0.0)
    assert found.p95_wait_s <= wait_s(load, slots)


@given(loads, peaks, st.floats(0.1, 120.0), st.integers(1, 8))
def test_a_peak_needs_at_least_what_the_usual_load_does_and_at_most_what_it_does_for_ever(
    load: Load, peak: Peak, most_s: float, each: int
) -> None:
    slots = slots_for_peak(load, peak, most_s, each)
    assert slots % each == 0
    assert slots >= slots_for(load, most_s)
    assert slots < slots_for(load.times(peak.factor), most_s) + each
    assert absorb(load, peak, Ramp.steady(slots)).p95_wait_s <= most_s


@given(loads, peaks, st.floats(0.1, 120.0), st.floats(1.0, 3.0))
def test_a_higher_peak_never_needs_fewer_slots(
    load: Load, peak: Peak, most_s: float, more: float
) -> None:
    higher = Peak(peak.factor * more, peak.lasts_s)
    assert slots_for_peak(load, higher, most_s, 1) >= slots_for_peak(load, peak, most_s, 1)


@given(loads, peaks, st.integers(1, 50), st.integers(0, 50), st.floats(0.0, 100.0))
def test_slots_that_are_there_sooner_leave_no_longer_queue(
    load: Load, peak: Peak, before: int, more: int, startup_s: float
) -> None:
    late = absorb(load, peak, Ramp(before, before + more, startup_s))
    soon = absorb(load, peak, Ramp(before, before + more))
    assert soon.backlog <= late.backlog * (1.0 + 1e-9)
    assert soon.drain_s <= late.drain_s * (1.0 + 1e-9) + 1e-9


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("usual", [0.3, 3.0])
@pytest.mark.parametrize(
    ("peak", "most_s"), [(Peak(20.0, 60.0), 10.0), (Peak(3.0, 60.0), 1.0), (Peak(20.0, 10.0), 10.0)]
)
def test_in_a_peak_played_the_slots_for_it_keep_the_wait(
    cv: float, usual: float, peak: Peak, most_s: float
) -> None:
    load = Load(usual, 1.0, service_cv=cv)
    slots = slots_for_peak(load, peak, most_s, 1)
    runs = max(10, int(20_000 / (usual * peak.factor * peak.lasts_s)))
    assert p95_wait_in_peak_s(load, peak, Ramp.steady(slots), runs) <= 1.1 * most_s


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
def test_in_a_peak_played_a_tenth_fewer_slots_do_not(cv: float) -> None:
    """Where the queue decides, not chance: 60 s of 20 times the load."""
    load, peak = Load(3.0, 1.0, service_cv=cv), Peak(20.0, 60.0)
    slots = slots_for_peak(load, peak, 30.0, 1)
    fewer = Ramp.steady(math.floor(0.9 * slots))
    assert p95_wait_in_peak_s(load, peak, fewer, 10) > 30.0


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(
    ("peak", "ramp"),
    [
        (Peak(20.0, 60.0), Ramp(6, 40, startup_s=10.0)),
        (Peak(20.0, 30.0), Ramp(6, 80, startup_s=10.0)),
        (Peak(20.0, 60.0), Ramp(6, 30, startup_s=90.0)),
        (Peak(5.0, 120.0), Ramp(5, 20, startup_s=30.0)),
    ],
)
def test_in_a_peak_played_replicas_that_start_in_it_leave_the_waits_that_were_told(
    cv: float, peak: Peak, ramp: Ramp
) -> None:
    load = Load(3.0, 1.0, service_cv=cv)
    expected_s = absorb(load, peak, ramp).p95_wait_s
    assert 0.6 * expected_s < p95_wait_in_peak_s(load, peak, ramp, 20) < 1.1 * expected_s
