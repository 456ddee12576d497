"""What pools have together is never exceeded, and nobody gets more than it asked for."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Unreadable
from marea.scaling.budget import Ask, share, within_budget
from marea.scaling.policy import desired_replicas
from tests.unit.scaling.readings import NOW, backlogs, targets

NAMES = ("a", "b", "c", "d", "e", "f")


@st.composite
def asks(draw: st.DrawFn) -> list[Ask]:
    return [
        Ask(
            name,
            wants=(wants := draw(st.integers(0, 60))),
            keeps=draw(st.integers(0, wants)),
            floor=draw(st.integers(0, 20)),
            weight=draw(st.sampled_from((0.5, 1.0, 2.0, 3.0))),
        )
        for name in NAMES[: draw(st.integers(1, len(NAMES)))]
    ]


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 200), asks())
def test_the_budget_holds_and_is_used_up(budget: int, pools: list[Ask]) -> None:
    granted = share(budget, pools)
    kept = sum(ask.keeps for ask in pools)
    assert sum(granted.values()) == max(kept, min(budget, sum(ask.wants for ask in pools)))
    assert all(ask.keeps <= granted[ask.pool] <= ask.wants for ask in pools)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 200), asks())
def test_floors_hold_where_the_budget_covers_them(budget: int, pools: list[Ask]) -> None:
    granted = share(budget, pools)
    due = {ask.pool: max(ask.keeps, min(ask.floor, ask.wants)) for ask in pools}
    if sum(due.values()) <= budget:
        assert all(granted[name] >= replicas for name, replicas in due.items())


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 200), asks())
def test_nobody_short_could_be_given_one_by_somebody_richer(budget: int, pools: list[Ask]) -> None:
    granted = share(budget, pools)
    for poor in pools:
        for rich in pools:
            spare = granted[rich.pool] > max(rich.keeps, min(rich.floor, rich.wants))
            if granted[poor.pool] < poor.wants and rich is not poor and spare:
                had = (granted[rich.pool] - 1) / rich.weight
                assert had <= granted[poor.pool] / poor.weight


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, PoolTarget], list[Backlog | Unreadable]]:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    pools = {name: draw(targets(name)) for name in names}
    readings: list[Backlog | Unreadable] = []
    for name in names:
        backlog = draw(backlogs(name))
        failed = Unreadable(name, NOW, "away", draw(st.sampled_from((None, 4))))
        readings.append(draw(st.sampled_from((backlog, backlog, backlog, failed))))
    return pools, readings


@settings(deadline=None)  # a busy machine is no failure
@given(worlds(), st.integers(0, 300))
def test_pools_together_never_grow_beyond_the_budget(
    world: tuple[dict[str, PoolTarget], list[Backlog | Unreadable]], budget: int
) -> None:
    pools, readings = world
    wishes = [desired_replicas(pools[each.pool], each, NOW) for each in readings]
    decisions = within_budget(budget, pools, wishes)
    present = sum(each.wanted or 0 for each in wishes)
    unknown = any(each.replicas is None for each in decisions)
    # As long as those that must shrink have not: growth and what is there fit together.
    meanwhile = sum(max(each.wanted or 0, each.replicas or 0) for each in decisions)
    assert meanwhile <= max(budget, present) or unknown
    for wish, decision in zip(wishes, decisions, strict=True):
        if wish.is_hold:
            assert decision == wish
            continue
        assert decision.replicas is not None
        assert wish.replicas is not None
        assert decision.replicas <= wish.replicas
        assert decision == wish or decision.limiter == "budget"


def queued(name: str, ready: int, *, wanted: int, busy: int) -> Backlog:
    return Backlog(
        name, NOW, ready, busy, busy, ready * 10.0, 0.0, 10.0, fleet=Fleet(wanted, ready=wanted)
    )


def test_a_pool_that_comes_late_is_given_its_share_as_others_finish_jobs() -> None:
    pools = {name: PoolTarget(name, 30.0) for name in ("early", "late")}
    decisions = within_budget(
        20,
        pools,
        [
            desired_replicas(pools["early"], queued("early", 5000, wanted=20, busy=80), NOW),
            desired_replicas(pools["late"], queued("late", 5000, wanted=0, busy=0), NOW),
        ],
    )
    assert [each.replicas for each in decisions] == [10, 0]
    assert "share of the budget of 20" in decisions[0].reason
    assert "share of the budget of 20" in decisions[1].reason
    after = within_budget(
        20,
        pools,
        [
            desired_replicas(pools["early"], queued("early", 5000, wanted=13, busy=52), NOW),
            desired_replicas(pools["late"], queued("late", 5000, wanted=0, busy=0), NOW),
        ],
    )
    assert [each.replicas for each in after] == [10, 7]


def test_a_pool_that_cannot_be_read_keeps_what_it_may_have() -> None:
    pools = {name: PoolTarget(name, 30.0, max_replicas=12) for name in ("seen", "unseen")}
    decisions = within_budget(
        20,
        pools,
        [
            desired_replicas(pools["seen"], queued("seen", 5000, wanted=0, busy=0), NOW),
            desired_replicas(pools["unseen"], Unreadable("unseen", NOW, "away"), NOW),
        ],
    )
    assert decisions[0].replicas == 8
    assert decisions[1].replicas is None


def test_a_wish_within_the_budget_is_left_as_it_is() -> None:
    pools = {"only": PoolTarget("only", 30.0)}
    wish = desired_replicas(pools["only"], queued("only", 40, wanted=0, busy=0), NOW)
    assert within_budget(50, pools, [wish]) == [wish]
    assert within_budget(50, pools, [replace(wish, wanted=3)])[0].replicas == wish.replicas
