"""Whatever is read: more work never asks for fewer, and no bound is left."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from marea.scaling.backlog import Backlog, PoolTarget, Unreadable
from marea.scaling.decision import Decision
from marea.scaling.policy import desired_replicas
from marea.scaling.sentences import LIMITERS
from tests.unit.scaling.readings import NOW, backlogs, targets


def count(pool: PoolTarget, backlog: Backlog) -> int:
    replicas = desired_replicas(pool, backlog, NOW).replicas
    assert replicas is not None
    return replicas


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs(), st.integers(1, 1000), st.floats(0.0, 1e5))
def test_more_work_never_asks_for_fewer_replicas(
    pool: PoolTarget, backlog: Backlog, jobs: int, seconds: float
) -> None:
    before = count(pool, backlog)
    assert count(pool, replace(backlog, ready=backlog.ready + jobs)) >= before
    assert count(pool, replace(backlog, work_s=backlog.work_s + seconds)) >= before
    assert count(pool, replace(backlog, busy=backlog.busy + jobs)) >= before
    assert count(pool, replace(backlog, unacked=backlog.unacked + jobs)) >= before
    assert count(pool, replace(backlog, oldest_s=backlog.oldest_s + seconds)) >= before
    assert count(pool, replace(backlog, longest_s=backlog.longest_s + seconds)) >= before


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_a_tighter_target_never_asks_for_fewer_replicas(pool: PoolTarget, backlog: Backlog) -> None:
    assert count(replace(pool, drain_s=pool.drain_s / 2), backlog) >= count(pool, backlog)


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_every_answer_is_within_bounds_and_can_be_explained(
    pool: PoolTarget, backlog: Backlog
) -> None:
    decision = desired_replicas(pool, backlog, NOW)
    replicas = decision.replicas
    assert replicas is not None
    assert pool.min_replicas <= replicas <= pool.max_replicas
    assert decision.limiter in LIMITERS
    assert decision.reason.startswith(f"{replicas}: ")
    assert Decision.from_json(json.loads(json.dumps(decision.as_json()))) == decision


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_the_scale_is_never_below_the_busy_replicas_unless_the_max_is(
    pool: PoolTarget, backlog: Backlog
) -> None:
    busy = math.ceil(backlog.busy / pool.slots)
    assert count(pool, backlog) >= min(busy, pool.max_replicas)


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_a_fleet_is_not_made_smaller_while_it_works_off_a_queue(
    pool: PoolTarget, backlog: Backlog
) -> None:
    useful = min(backlog.fleet.capacity, math.ceil(backlog.jobs / pool.slots), pool.max_replicas)
    if backlog.ready:
        assert count(pool, backlog) >= useful


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_work_is_never_left_without_a_replica(pool: PoolTarget, backlog: Backlog) -> None:
    if backlog.jobs:
        assert count(pool, backlog) >= 1


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_a_pool_is_parked_only_after_its_time_without_work_or_arrivals(
    pool: PoolTarget, backlog: Backlog
) -> None:
    idle = replace(backlog, ready=0, unacked=0, busy=0, work_s=0.0)
    if count(pool, idle) == 0 and idle.fleet.wanted:
        assert pool.min_replicas == 0
        assert NOW - idle.last_work_at >= pool.idle_after_s
        assert idle.arrivals_per_s * idle.service_s < 0.05


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs(), st.one_of(st.none(), st.integers(0, 500)), st.booleans())
def test_what_could_not_be_read_changes_nothing(
    pool: PoolTarget, backlog: Backlog, wanted: int | None, known: bool
) -> None:
    previous = replace(desired_replicas(pool, backlog, NOW - 2.0), applied=11) if known else None
    reading = Unreadable(pool.name, NOW, "the broker did not answer", wanted)
    decision = desired_replicas(pool, reading, NOW, previous)
    assert decision.is_hold
    assert "the broker did not answer" in decision.reason
    assert decision.replicas == (wanted if wanted is not None else 11 if known else None)


@settings(deadline=None)  # a busy machine is no failure
@given(
    targets(),
    backlogs(),
    st.sampled_from(
        ("ready", "unacked", "busy", "work_s", "arrivals_per_s", "service_s", "oldest_s")
    ),
    st.sampled_from((-1, math.nan, math.inf)),
)
def test_a_reading_that_makes_no_sense_changes_nothing(
    pool: PoolTarget, backlog: Backlog, field: str, value: float
) -> None:
    decision = desired_replicas(pool, replace(backlog, **{field: value}), NOW)
    assert decision.is_hold
    assert decision.replicas == backlog.fleet.wanted
    assert field in decision.reason


@settings(deadline=None)  # a busy machine is no failure
@given(targets(), backlogs())
def test_the_same_inputs_give_the_same_decision(pool: PoolTarget, backlog: Backlog) -> None:
    assert desired_replicas(pool, backlog, NOW) == desired_replicas(pool, backlog, NOW)
