"""Arrivals and ages of tasks that nobody tells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marea.autoscaler.arrived import SETTLE_S, Arrived

START = 1_700_000_000.0


def test_what_waits_and_what_was_begun_has_come() -> None:
    arrived = Arrived()
    assert arrived.read(0, 5, START) == 5
    assert arrived.read(3, 2, START + 2) == 5
    assert arrived.read(3, 4, START + 4) == 7


def test_a_heartbeat_that_is_late_is_no_arrival_afterwards() -> None:
    arrived = Arrived()
    arrived.read(0, 10, START)
    assert arrived.read(0, 4, START + 1) == 10, "six were begun, and no heartbeat has said so"
    assert arrived.read(6, 4, START + 2) == 10


def test_after_a_purge_new_tasks_are_counted_again() -> None:
    arrived = Arrived()
    arrived.read(0, 1000, START)
    arrived.read(0, 0, START + 1)
    assert arrived.read(0, 0, START + 1 + SETTLE_S) == 1000
    assert arrived.read(0, 3, START + 3 + SETTLE_S) == 1003


def test_the_oldest_is_as_old_as_its_arrival_is_past() -> None:
    arrived = Arrived()
    assert arrived.oldest_at(0) == 0.0
    arrived.read(0, 4, START)
    arrived.read(0, 10, START + 10)
    assert arrived.oldest_at(10) == START
    arrived.read(4, 6, START + 20)
    assert arrived.oldest_at(6) == START + 10
    assert arrived.oldest_at(0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_the_count_only_grows_and_the_oldest_is_never_from_the_future(
    steps: list[tuple[int, int]],
) -> None:
    arrived, started, before, now = Arrived(), 0, 0, START
    for begun, waiting in steps:
        started, now = started + begun, now + 2.0
        total = arrived.read(started, waiting, now)
        assert total >= before
        before = total
        assert arrived.oldest_at(waiting) <= now
        assert (arrived.oldest_at(waiting) > 0.0) == (waiting > 0)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_with_exact_figures_the_count_is_exact(arrivals: list[int]) -> None:
    arrived, waiting, started = Arrived(), 0, 0
    for number, count in enumerate(arrivals):
        waiting += count
        served = min(waiting, 5)
        waiting, started = waiting - served, started + served
        assert arrived.read(started, waiting, START + number) == sum(arrivals[: number + 1])
