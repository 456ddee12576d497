"""One story for each limiter: what was read, how many, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Unreadable
from marea.scaling.budget import within_budget
from marea.scaling.decision import Adopted, Decision
from marea.scaling.policy import STALE_AFTER_S, desired_replicas
from marea.scaling.sentences import LIMITERS

NOW = 1000.0
POOL = PoolTarget("images", drain_s=60.0, slots=4, utilisation=0.8, idle_after_s=60.0)
PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"


def read(
    *,
    ready: int = 0,
    busy: int = 0,
    unacked: int | None = None,
    s: float = 1.0,
    work_s: float | None = None,
    per_s: float = 0.0,
    oldest_s: float = 0.0,
    idle_for_s: float = 0.0,
    fleet: Fleet | None = None,
) -> Backlog:
    return Backlog(
        pool="images",
        at=NOW,
        ready=ready,
        unacked=busy if unacked is None else unacked,
        busy=busy,
        work_s=ready * s if work_s is None else work_s,
        arrivals_per_s=per_s,
        service_s=s,
        oldest_s=oldest_s,
        last_work_at=NOW - idle_for_s,
        fleet=fleet or Fleet(wanted=0),
    )


def up(ready: int, *, starting: int = 0) -> Fleet:
    return Fleet(wanted=ready + starting, ready=ready, starting=starting)


def sized(backlog: Backlog, pool: PoolTarget = POOL) -> tuple[int | None, str]:
    decision = desired_replicas(pool, backlog, NOW)
    return decision.replicas, decision.limiter


def test_a_queue_is_cleared_within_what_the_start_leaves_of_the_target() -> None:
    # 1,000 work-seconds in 60 - 10 s: 20 slots.
    assert sized(read(ready=1000)) == (5, "drain")


def test_arrivals_are_added_to_the_queue() -> None:
    # 8/s x 1 s / 0.8 = 10 slots beside the 20.
    assert sized(read(ready=1000, per_s=8.0)) == (8, "drain")


def test_what_runs_takes_half_its_time_yet() -> None:
    # 40 busy slots x 10 s / 2 = 200 s beside the 2,000.
    backlog = read(ready=200, s=10.0, busy=40, fleet=up(10))
    assert desired_replicas(POOL, backlog, NOW).bounds["work"] == pytest.approx(2200 / 50 / 4)


def test_more_slots_than_jobs_help_nobody() -> None:
    assert sized(read(ready=7, work_s=4200.0)) == (2, "queue-bound")


def test_a_fleet_on_its_plan_is_left_alone() -> None:
    # Half of the time and half of the work have passed.
    on_time = read(ready=600, oldest_s=30.0, fleet=up(5))
    assert sized(on_time) == (5, "drain")


def test_a_fleet_behind_its_plan_grows() -> None:
    late = read(ready=1200, oldest_s=30.0, fleet=up(5))
    assert sized(late) == (10, "drain")


def test_who_starts_already_is_not_late_yet() -> None:
    late = read(ready=1200, oldest_s=30.0, fleet=up(2, starting=3))
    assert sized(late) == (6, "drain")


def test_a_missed_target_is_not_chased_faster_than_replicas_start() -> None:
    missed = read(ready=1200, oldest_s=500.0, fleet=up(5))
    assert sized(missed) == (30, "drain")


def test_none_is_added_for_a_queue_that_is_gone_before_it_would_be_up() -> None:
    # 160 s of work on 20 slots: 8 s, less than the 10 of a start.
    assert sized(read(ready=160, oldest_s=58.0, fleet=up(5))) == (5, "queued")
    assert sized(read(ready=160, oldest_s=58.0, fleet=up(3))) == (4, "drain")
    tight = replace(POOL, drain_s=11.0)
    assert sized(read(ready=160, fleet=up(5)), tight) == (5, "clears-soon")


def test_jobs_stuck_behind_longer_ones_get_slots_of_their_own() -> None:
    # By the means 103 s of work on 100 slots: it "clears soon", and has not for 400 s.
    behind = read(ready=3, busy=100, s=2.0, oldest_s=400.0, fleet=up(25))
    assert sized(behind) == (26, "stuck")
    assert sized(replace(behind, oldest_s=70.0)) == (25, "queued")
    assert sized(replace(behind, fleet=up(25, starting=1)))[1] != "stuck"


def test_jobs_are_stuck_sooner_where_the_mean_knows_only_shorter_ones() -> None:
    # 20 of 100 s wait behind 100 that run; those that ended took 2 s.
    mistaken = replace(
        read(ready=20, busy=100, s=2.0, work_s=400.0, fleet=up(25)), oldest_s=31.0, longest_s=100.0
    )
    assert sized(mistaken) == (29, "stuck")
    assert sized(replace(mistaken, oldest_s=29.0)) == (25, "queued")
    assert sized(replace(mistaken, longest_s=3.0)) == (25, "queued")


def test_a_replica_that_arrivals_keep_busy_does_not_count_as_help() -> None:
    busy_anyway = read(ready=160, per_s=18.0, fleet=up(5), oldest_s=50.0)
    assert sized(busy_anyway) == (10, "drain")


def test_a_queue_is_worked_off_by_what_is_there() -> None:
    assert sized(read(ready=100, fleet=up(9))) == (9, "queued")


def test_what_arrives_keeps_its_replicas() -> None:
    assert sized(read(busy=10, per_s=10.0, fleet=up(4))) == (4, "offered-load")


def test_a_pool_that_keeps_up_is_kept_though_nothing_is_queued() -> None:
    keeping_up = read(per_s=0.5, s=1.0, idle_for_s=500.0, fleet=up(1))
    assert sized(keeping_up) == (1, "keep-alive")


def test_busy_replicas_are_kept() -> None:
    assert sized(read(busy=21, fleet=up(6))) == (6, "busy")


def test_a_load_just_below_a_step_keeps_what_is_there_and_adds_nothing() -> None:
    nearly = {"per_s": 12.5, "busy": 12}  # 15.6 slots for arrivals: 3.9 replicas
    assert sized(read(**nearly, fleet=up(5))) == (5, "dead-band")  # type: ignore[arg-type]
    assert sized(read(**nearly, fleet=up(4))) == (4, "offered-load")  # type: ignore[arg-type]


def test_an_idle_pool_keeps_one_for_a_while_and_is_then_parked() -> None:
    assert sized(read(idle_for_s=59.0, fleet=up(6))) == (1, "idle")
    assert sized(read(idle_for_s=60.0, fleet=up(6))) == (0, "parked")
    assert sized(read(idle_for_s=1.0)) == (0, "parked")


def test_one_is_enough_to_learn_what_was_never_measured() -> None:
    assert sized(read(ready=3, s=0.0, work_s=0.0)) == (1, "queue-bound")


def test_min_and_max_hold() -> None:
    assert sized(read(idle_for_s=900.0), replace(POOL, min_replicas=2)) == (2, "min")
    assert sized(read(ready=10**6), replace(POOL, max_replicas=7)) == (7, "max")
    assert sized(read(busy=40, fleet=up(10)), replace(POOL, max_replicas=7)) == (7, "max")


def test_a_scale_changed_by_hand_is_adopted_for_a_while() -> None:
    before = replace(desired_replicas(POOL, read(), NOW - 2.0), applied=0)
    raised = desired_replicas(POOL, read(idle_for_s=900.0, fleet=up(6)), NOW, before)
    assert (raised.replicas, raised.limiter) == (6, "adopted")
    assert raised.adopted == Adopted(6, 0, NOW + 60.0)
    assert "from 0 to 6" in raised.reason
    later = replace(raised, applied=6)
    idle = replace(read(idle_for_s=900.0, fleet=up(6)), at=NOW + 61.0)
    assert desired_replicas(POOL, idle, NOW + 61.0, later).replicas == 0


def test_a_change_by_hand_is_told_of_though_the_need_is_higher() -> None:
    before = replace(desired_replicas(POOL, read(), NOW - 2.0), applied=5)
    lowered = desired_replicas(POOL, read(ready=1000, fleet=up(2)), NOW, before)
    assert (lowered.replicas, lowered.limiter) == (5, "drain")
    assert "changed by hand from 5 to 2" in lowered.reason


@pytest.mark.parametrize(
    ("backlog", "now", "words"),
    [
        (Unreadable("images", NOW, "the broker did not answer", 3), NOW, "did not answer"),
        (replace(read(fleet=up(3)), at=NOW - STALE_AFTER_S - 1), NOW, "s old"),
        (read(fleet=up(3)), NOW - 60.0, "clock went back by 58 s"),
        (replace(read(fleet=up(3)), at=NOW + 60.0), NOW, "ahead of this clock"),
        (read(fleet=up(3), s=float("nan")), NOW, "service_s = nan"),
    ],
)
def test_holds_and_says_why(backlog: Backlog | Unreadable, now: float, words: str) -> None:
    before = desired_replicas(POOL, replace(read(), at=NOW - 2.0), NOW - 2.0)
    decision = desired_replicas(POOL, backlog, now, before)
    assert (decision.replicas, decision.limiter) == (3, "hold")
    assert words in decision.reason


def test_after_a_clock_went_back_the_next_decision_is_made_again() -> None:
    before = desired_replicas(POOL, read(), NOW)
    held = desired_replicas(POOL, replace(read(), at=NOW - 60.0), NOW - 60.0, before)
    assert held.is_hold
    backlog = replace(read(ready=1000), at=NOW - 58.0)
    assert desired_replicas(POOL, backlog, NOW - 58.0, held).replicas == 5


def test_a_reading_of_another_pool_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="pool 'images' cannot size pool 'tables'"):
        desired_replicas(PoolTarget("tables", 60.0), read(), NOW)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"drain_s": 0.0}, "drain_s is 0.0; set it above 0 s"),
        ({"drain_s": float("inf")}, "drain_s is inf"),
        ({"slots": 0}, "slots is 0; set it at least 1"),
        ({"min_replicas": 9, "max_replicas": 3}, "max_replicas is 3; set it at least"),
        ({"utilisation": 1.2}, "utilisation is 1.2"),
        ({"startup_s": -1.0}, "startup_s is -1.0"),
        ({"weight": 0.0}, "weight is 0.0"),
        ({"floor": 51}, "floor is 51; set it from 0 to max_replicas = 50"),
    ],
)
def test_an_impossible_target_is_refused_with_its_limit(
    values: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        PoolTarget(**{"name": "images", "drain_s": 60.0, **values})  # type: ignore[arg-type]


def test_the_page_tells_every_limiter_and_no_other() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Limiters")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == set(LIMITERS)


def test_a_wish_above_the_budget_is_cut_and_says_so() -> None:
    wish = Decision("images", NOW, 9, "drain", "9: …", wanted=0)
    (cut,) = within_budget(4, {"images": POOL}, [wish])
    assert (cut.replicas, cut.limiter) == (4, "budget")
    assert "4: of 9 wanted" in cut.reason
