"""How many slots keep waits short: closed forms, what must always hold, and a queue played."""

from __future__ import annotations

import math

import pytest
from capacity_queue import p95_wait_s
from hypothesis import given
from hypothesis import strategies as st

from marea.scaling.capacity import Load, erlang_b, erlang_c, mean_wait_s, slots_for, wait_s

loads = st.builds(
    Load,
    per_s=st.floats(0.001, 50.0),
    service_s=st.floats(0.01, 10.0),
    service_cv=st.floats(0.0, 4.0),
    arrival_cv=st.floats(0.1, 3.0),
)


@given(st.floats(0.01, 0.99), st.floats(0.01, 100.0))
def test_one_slot_is_as_the_closed_form_of_m_m_1(busy: float, service_s: float) -> None:
    """P(wait > t) = load * exp(-t (1 - load) / s); Kleinrock, Queueing Systems 1, chapter 5."""
    load = Load(busy / service_s, service_s)
    assert erlang_c(1, busy) == pytest.approx(busy)
    assert mean_wait_s(load, 1) == pytest.approx(busy / (1.0 - busy) * service_s)
    waits_s = max(0.0, service_s / (1.0 - busy) * math.log(busy / 0.05))
    assert wait_s(load, 1) == pytest.approx(waits_s, abs=1e-9)


@given(st.floats(0.01, 1.99))
def test_two_slots_are_as_the_closed_form_of_m_m_2(offered: float) -> None:
    assert erlang_c(2, offered) == pytest.approx(offered**2 / (2.0 + offered))


@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_the_recurrence_is_erlangs_sum(slots: int, busy: float) -> None:
    offered = busy * slots
    last = offered**slots / math.factorial(slots)
    blocked = last / sum(offered**n / math.factorial(n) for n in range(slots + 1))
    assert erlang_b(slots, offered) == pytest.approx(blocked)
    waiting = last / (1.0 - busy)
    rest = sum(offered**n / math.factorial(n) for n in range(slots))
    assert erlang_c(slots, offered) == pytest.approx(waiting / (rest + waiting))


@pytest.mark.parametrize(
    ("slots", "offered", "blocked"),
    [(5, 1.361, 0.01), (10, 4.461, 0.01), (20, 12.03, 0.01), (100, 84.06, 0.01), (10, 6.216, 0.05)],
)
def test_blocking_is_as_in_the_tables_of_traffic_engineers(
    slots: int, offered: float, blocked: float
) -> None:
    """Erlang B tables, e.g. R. Parkinson, Traffic Engineering Techniques in Telecommunications,
    appendix: offered traffic to four digits."""
    assert erlang_b(slots, offered) == pytest.approx(blocked, rel=2e-3)


def test_the_chance_to_wait_is_that_of_the_textbooks() -> None:
    """The eye clinic of D. Gross, C. M. Harris, Fundamentals of Queueing Theory, chapter 2: 6
    arrivals an hour, 20 minutes each, 3 servers: 8/9 of a customer waits on average."""
    load = Load(per_s=6.0 / 3600.0, service_s=1200.0)
    assert erlang_c(3, load.offered) == pytest.approx(4.0 / 9.0)
    assert load.per_s * mean_wait_s(load, 3) == pytest.approx(8.0 / 9.0)


@given(loads, st.floats(1.0, 5.0), st.floats(0.0, 60.0))
def test_more_arrivals_never_need_fewer_slots(load: Load, factor: float, most_s: float) -> None:
    assert slots_for(load.times(factor), most_s) >= slots_for(load, most_s)


@given(loads, st.floats(0.0, 60.0), st.floats(0.0, 60.0))
def test_more_patience_never_needs_more_slots(load: Load, most_s: float, more_s: float) -> None:
    assert slots_for(load, most_s + more_s) <= slots_for(load, most_s)


@given(loads, st.floats(0.0, 60.0))
def test_the_answer_keeps_the_wait_and_one_slot_less_does_not(load: Load, most_s: float) -> None:
    slots = slots_for(load, most_s)
    assert slots > load.offered
    assert wait_s(load, slots) <= most_s
    assert slots == 1 or wait_s(load, slots - 1) > most_s


@given(st.integers(1_000, 20_000), st.floats(0.5, 0.999))
def test_thousands_of_slots_are_reckoned_without_overflow(slots: int, busy: float) -> None:
    chance = erlang_c(slots, busy * slots)
    assert 0.0 <= chance < 1.0
    assert erlang_c(slots + 1, busy * slots) <= chance


def test_thousands_of_slots_come_close_to_the_square_root_rule() -> None:
    """S. Halfin and W. Whitt, Heavy-traffic limits for queues with many exponential servers,
    Operations Research 29 (1981): with a + b sqrt(a) slots, b = 1, the chance to wait tends to
    1 / (1 + b F(b) / f(b)) = 0.2234 of the normal distribution F and its density f."""
    assert erlang_c(1_001_000, 1_000_000.0) == pytest.approx(0.2234, abs=0.001)


def test_slots_that_do_not_suffice_wait_for_ever() -> None:
    load = Load(10.0, 1.0)
    assert (erlang_c(10, 10.0), wait_s(load, 10), mean_wait_s(load, 9)) == (1.0, math.inf, math.inf)


TOLERANCE = 1.1
"""Of a wait that was asked; docs/capacity.md says where it holds."""
SOME_S = 0.03
"""Added to it, of a mean job: where next to nobody is to wait, a share of nothing says little."""
FEWER = 0.06
"""The share of the slots without which the wait is not kept; at least one slot, at most two of the
pools below."""


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("offered", "most_s"), [(1.0, 1.0), (5.0, 1.0), (5.0, 10.0), (30.0, 0.5)])
def test_a_queue_played_waits_as_asked_and_with_fewer_slots_longer(
    cv: float, offered: float, most_s: float
) -> None:
    load = Load(offered, 1.0, service_cv=cv)
    slots = slots_for(load, most_s)
    assert p95_wait_s(load, slots, 60_000) <= most_s * TOLERANCE + SOME_S
    fewer = slots - math.ceil(FEWER * slots)
    if fewer > offered:
        assert p95_wait_s(load, fewer, 60_000) > most_s


@pytest.mark.parametrize("cv", [1.5, 2.0, 3.0])
@pytest.mark.parametrize(("offered", "most_s"), [(1.0, 1.0), (5.0, 5.0), (30.0, 1.0)])
def test_jobs_that_differ_much_wait_no_longer_than_asked(
    cv: float, offered: float, most_s: float
) -> None:
    """The formula errs on the safe side there: by a tenth of the slots and one more at most."""
    load = Load(offered, 1.0, service_cv=cv)
    slots = slots_for(load, most_s)
    assert p95_wait_s(load, slots, 60_000) <= most_s * TOLERANCE
    fewer = slots - 1 - math.ceil(0.1 * slots)
    if fewer > offered:
        assert p95_wait_s(load, fewer, 60_000) > most_s


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("offered", "most_s"), [(1.0, 1.0), (5.0, 2.0), (30.0, 1.0)])
def test_arrivals_in_bunches_wait_no_longer_than_asked_where_that_is_a_job_or_more(
    cv: float, offered: float, most_s: float
) -> None:
    load = Load(offered, 1.0, service_cv=cv, arrival_cv=2.0)
    assert p95_wait_s(load, slots_for(load, most_s), 60_000) <= most_s * TOLERANCE
