"""What the slots become: replicas, cores, memory, Redis' memory and money."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.scaling.capacity import Load, wait_s
from marea.scaling.capacity_peak import Peak
from marea.scaling.capacity_plan import (
    ENDED_BYTES,
    GIB,
    QUEUED_BYTES,
    Question,
    cost_a_day,
    plan,
)


def question(per_s: float = 10.0, service_s: float = 1.0, **changes: Any) -> Question:
    known: dict[str, Any] = {
        "load": Load(per_s, service_s),
        "most_s": 2.0,
        "slots": 4,
        "cpu_s": 0.5 * service_s,
        "replica_bytes": 10**9,
        "key_bytes": 60,
        "retention_s": 86_400.0,
        "utilisation": 0.5,
        "startup_s": 10.0,
    }
    return Question(**{**known, **changes})


questions = st.builds(
    question,
    per_s=st.floats(0.001, 50.0),
    service_s=st.floats(0.01, 5.0),
    most_s=st.floats(0.0, 60.0),
    slots=st.integers(1, 16),
    utilisation=st.floats(0.1, 1.0),
    peak=st.none() | st.builds(Peak, st.floats(1.0, 20.0), st.floats(1.0, 3600.0)),
    max_replicas=st.none() | st.integers(1, 40),
)


def test_ten_busy_slots_as_reckoned_by_hand() -> None:
    found = plan(question())
    assert (found.usual.replicas, found.usual.slots) == (3, 12)
    assert found.usual.utilisation == pytest.approx(10 / 12)
    assert found.usual.cores == pytest.approx(6.0)
    assert found.usual.memory_bytes == 3e9
    assert found.scaled.replicas == 5
    assert found.scaled_hours == pytest.approx(24 * 10 / (0.5 * 4))
    assert found.kept_bytes == pytest.approx(864_000 * (ENDED_BYTES + 60))
    assert found.open_bytes == found.open_jobs * (QUEUED_BYTES + 60)
    assert found.peak is None


def test_a_share_that_comes_out_even_is_not_rounded_up() -> None:
    """17 slots busy, at 85 % of 20: in binary a little more."""
    found = plan(question(per_s=17.0, utilisation=0.85))
    assert found.scaled.replicas == 5


@given(questions)
def test_replicas_are_the_fewest_that_keep_the_wait_and_busy_slots_fit(asked: Question) -> None:
    found = plan(asked)
    slots = found.usual.slots
    assert slots == found.usual.replicas * asked.slots
    assert found.usual.p95_wait_s <= asked.most_s
    if found.usual.replicas > 1:
        assert wait_s(asked.load, slots - asked.slots) > asked.most_s
    assert wait_s(replace(asked.load, per_s=found.most_per_s), slots) <= asked.most_s
    assert found.most_per_s >= asked.load.per_s
    assert found.reserved >= found.usual.replicas
    assert wait_s(asked.load.times(1.1), found.reserved * asked.slots) <= asked.most_s
    if asked.max_replicas is None:
        assert found.scaled.slots * asked.utilisation >= asked.load.offered * (1 - 1e-6)
    else:
        assert found.scaled.replicas <= asked.max_replicas
        assert found.scaled_hours <= 24.0 * asked.max_replicas
    assert found.redis_bytes == found.open_bytes + found.kept_bytes


@given(questions, st.floats(1.0, 10.0))
def test_a_higher_load_needs_nothing_less(asked: Question, factor: float) -> None:
    less, more = plan(asked), plan(replace(asked, load=asked.load.times(factor)))
    assert more.usual.replicas >= less.usual.replicas
    assert more.scaled_hours >= less.scaled_hours
    assert more.kept_bytes >= less.kept_bytes


@pytest.mark.parametrize("per_s", [5e-324, 1e-300, 1e-9])
def test_next_to_no_load_needs_one_replica(per_s: float) -> None:
    found = plan(question(per_s=per_s, peak=Peak(20.0, 60.0)))
    assert (found.usual.replicas, found.scaled.replicas, found.open_jobs) == (1, 1, 1)
    assert per_s <= found.most_per_s < math.inf


def test_the_peaks_jobs_are_kept_in_redis_and_worked_once_a_day() -> None:
    usual = plan(question())
    peaked = plan(question(peak=Peak(25.0, 3600.0)))
    assert peaked.kept_jobs == pytest.approx(2.0 * usual.kept_jobs)
    assert peaked.scaled_hours == pytest.approx(2.0 * usual.scaled_hours)
    assert peaked.usual == usual.usual
    assert peaked.peak is not None
    assert peaked.open_jobs >= peaked.peak.on_usual.backlog
    assert peaked.peak.ready.replicas > usual.usual.replicas
    assert peaked.peak.on_ready.p95_wait_s <= 2.0


def test_more_replicas_at_most_drain_the_peak_sooner() -> None:
    drains = []
    for most in (5, 10, 40):
        found = plan(question(peak=Peak(10.0, 120.0), max_replicas=most)).peak
        assert found is not None
        assert found.max_replicas == most
        drains.append(found.on_scaled.drain_s)
    assert drains == sorted(drains, reverse=True)
    assert drains[0] > 2.0 * drains[-1]


def test_replicas_at_most_that_do_not_suffice_are_told() -> None:
    found = plan(question(max_replicas=2))
    assert found.scaled.replicas == 2
    assert found.scaled.p95_wait_s == math.inf


def test_cost_is_of_what_has_a_price_and_unknown_without_any() -> None:
    asked = question()
    assert cost_a_day(asked, 10.0, GIB, None, None) is None
    assert cost_a_day(asked, 10.0, GIB, 0.5, None) == pytest.approx(10 * 2.0 * 0.5)
    memory = 10.0 * 1e9 / GIB + 24.0
    assert cost_a_day(asked, 10.0, GIB, None, 0.1) == pytest.approx(0.1 * memory)
    assert cost_a_day(asked, 10.0, GIB, 0.5, 0.1) == pytest.approx(10.0 + 0.1 * memory)
    assert cost_a_day(asked, 10.0, GIB, 0.0, None) == 0.0
