"""One message fetched ahead of a free slot: when, and what becomes of it if none gets free."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from marea.worker.ahead import (
    SHORT_JOB_S,
    WAITED_S,
    Ahead,
    give_back_waited,
    longest_running,
)

NOW = 1_000.0


@dataclass(eq=False)
class Held:
    """As much of a request as is looked at."""

    received_at: float = NOW
    time_start: float | None = None
    returned: list[bool] = field(default_factory=list)

    def reject(self, requeue: bool = False) -> None:
        self.returned.append(requeue)


def test_nothing_is_fetched_ahead_before_a_job_has_shown_how_long_one_takes() -> None:
    assert Ahead(2).limit(0.0) == 2


def test_one_more_is_held_while_jobs_are_short() -> None:
    ahead = Ahead(2)
    ahead.ended(0.05)
    assert ahead.limit(0.0) == 3


def test_none_is_held_while_a_job_runs_that_has_become_long() -> None:
    ahead = Ahead(2)
    ahead.ended(0.05)
    assert ahead.limit(SHORT_JOB_S + 0.01) == 2


def test_long_jobs_are_learnt_and_unlearnt() -> None:
    ahead = Ahead(2)
    for _ in range(50):
        ahead.ended(30.0)
    assert ahead.limit(0.0) == 2
    for _ in range(50):
        ahead.ended(0.05)
    assert ahead.limit(0.0) == 3


@given(st.lists(st.floats(0, 1e6)), st.floats(0, 1e6), st.integers(1, 256))
def test_never_more_than_one_beyond_the_slots(
    seconds: list[float], running_s: float, slots: int
) -> None:
    ahead = Ahead(slots)
    for each in seconds:
        ahead.ended(each)
    assert ahead.limit(running_s) in (slots, slots + 1)


def test_the_oldest_running_job_counts_and_one_that_has_not_begun_does_not() -> None:
    assert longest_running([], NOW) == 0
    held = [Held(), Held(time_start=NOW - 3), Held(time_start=NOW - 1)]
    assert longest_running(held, NOW) == 3


def test_what_waited_too_long_goes_back_to_the_front_and_is_forgotten() -> None:
    late, early = Held(received_at=NOW - WAITED_S), Held(received_at=NOW)
    waiting = deque((print, (each, None), {}) for each in (late, early))
    forgotten: list[Held] = []
    give_back_waited(waiting, NOW, forgotten.append)
    assert (late.returned, early.returned) == ([True], [])
    assert forgotten == [late]
    assert [waiter[1][0] for waiter in waiting] == [early]
