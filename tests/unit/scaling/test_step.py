"""A scale-in goes by idle replicas that have been told to take no more, and by no others."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from marea.scaling.decision import Decision
from marea.scaling.step import DRAINED_COST, LEASE_MARGIN_S, Replica, Step, next_step

NOW = 1000.0


def decided(replicas: int | None, *, limiter: str = "drain") -> Decision:
    return Decision("images", NOW, replicas, limiter, "because")


def step(
    need: int | None,
    replicas: list[Replica],
    *,
    wanted: int | None = None,
    rolling: bool = False,
    limiter: str = "drain",
) -> Step:
    return next_step(
        decided(need, limiter=limiter),
        replicas,
        wanted=len(replicas) if wanted is None else wanted,
        rolling=rolling,
        now=NOW,
    )


def idle(name: str) -> Replica:
    return Replica(name, "ready", busy=0)


def busy(name: str, jobs: int = 4) -> Replica:
    return Replica(name, "ready", busy=jobs)


def drained(name: str, left_s: float = 25.0) -> Replica:
    return Replica(name, "ready", busy=0, consuming=False, drain_until=NOW + left_s)


def test_more_are_asked_for_in_one_step() -> None:
    assert step(50, []).scale_to == 50


def test_drained_replicas_return_before_new_ones_are_asked_for() -> None:
    made = step(3, [busy("a"), drained("b"), drained("c")])
    assert (made.lift, made.scale_to) == (("b", "c"), None)
    made = step(5, [busy("a"), drained("b")])
    assert (made.lift, made.scale_to) == (("b",), 5)


def test_a_replica_that_returns_loses_its_deletion_cost() -> None:
    marked = replace(drained("b"), deletion_cost=DRAINED_COST)
    assert step(2, [busy("a"), marked]).costs == {"b": 0}


def test_idle_replicas_are_drained_first_and_the_scale_stays() -> None:
    made = step(1, [busy("a"), idle("b"), idle("c")])
    assert made.drain == ("b", "c")
    assert made.scale_to is None
    assert made.drain_until > NOW


def test_drained_replicas_are_removed_by_cost_and_by_exactly_their_number() -> None:
    made = step(1, [busy("a"), drained("b"), drained("c"), busy("d")])
    assert made.scale_to == 2
    assert made.costs == {"b": DRAINED_COST, "c": DRAINED_COST}
    assert made.remove == ("b", "c")
    assert "busy" in made.waiting


def test_a_cost_is_written_once() -> None:
    marked = replace(drained("b"), deletion_cost=DRAINED_COST)
    made = step(1, [busy("a"), marked])
    assert (made.scale_to, made.costs) == (1, {})


def test_a_drained_replica_that_took_a_job_is_not_removed_and_an_idle_one_is_chosen() -> None:
    raced = Replica("b", "ready", busy=1, consuming=True, drain_until=NOW + 25.0)
    made = step(2, [busy("a"), raced, idle("c")])
    assert made.scale_to is None
    assert made.lift == ("b",)
    assert made.drain == ("c",)


def test_a_replica_that_still_consumes_is_not_yet_removed() -> None:
    told = Replica("b", "ready", busy=0, consuming=True, drain_until=NOW + 25.0)
    made = step(1, [busy("a"), told])
    assert made.scale_to is None
    assert made.waiting


def test_a_lease_about_to_lapse_is_renewed_before_anything_is_removed() -> None:
    made = step(1, [busy("a"), drained("b", LEASE_MARGIN_S / 2)])
    assert made.scale_to is None
    assert made.drain == ("b",)


def test_a_replica_without_heartbeat_is_not_idle() -> None:
    made = step(0, [Replica("a", "ready", busy=None)])
    assert made.is_nothing
    assert "heartbeat" in made.waiting


def test_replicas_not_up_yet_are_withdrawn_first_and_alone() -> None:
    pending = Replica("p", "pending")
    made = step(2, [busy("a"), drained("b"), pending])
    assert (made.scale_to, made.remove) == (2, ("p",))
    assert made.costs == {}
    assert step(1, [busy("a")], wanted=4).scale_to == 1


def test_a_replica_that_is_not_ready_would_be_removed_first_so_none_is() -> None:
    made = step(2, [busy("a"), drained("b"), Replica("n", "unready")])
    assert made.scale_to is None
    assert "n is not Ready" in made.waiting


def test_a_foreign_deletion_cost_is_cleared_before_anything_is_removed() -> None:
    foreign = replace(busy("a"), deletion_cost=-5)
    made = step(1, [foreign, drained("b")])
    assert (made.costs, made.scale_to) == ({"a": 0}, None)


def test_nothing_goes_during_a_rollout_but_more_may_come() -> None:
    made = step(1, [busy("a"), drained("b")], rolling=True)
    assert made.is_nothing
    assert "rollout" in made.waiting
    assert step(9, [busy("a")], rolling=True).scale_to == 9


def test_a_hold_touches_nothing() -> None:
    assert step(None, [idle("a"), drained("b")], limiter="hold").is_nothing
    assert step(0, [idle("a"), drained("b")], limiter="hold").is_nothing


def test_those_on_their_way_out_keep_their_cost_and_their_lease() -> None:
    gone = replace(drained("b", 12.0), deletion_cost=DRAINED_COST)
    made = step(1, [busy("a"), gone], wanted=1)
    assert (made.drain, made.lift, made.costs, made.scale_to) == (("b",), (), {}, None)
    made = step(3, [busy("a"), gone], wanted=1)
    assert (made.lift, made.costs, made.scale_to) == ((), {}, 3)


def test_busy_replicas_are_drained_after_the_idle_ones_the_nearly_free_first() -> None:
    replicas = [busy("a"), busy("b", 1), idle("c")]
    assert step(2, replicas).drain == ("c",)
    assert step(1, replicas).drain == ("c", "b")


def test_a_busy_replica_that_is_drained_is_removed_once_its_jobs_are_over() -> None:
    working = Replica("b", "ready", busy=1, consuming=False, drain_until=NOW + 25.0)
    made = step(1, [busy("a"), working])
    assert (made.scale_to, made.lift) == (None, ())
    assert step(1, [busy("a"), replace(working, busy=0)]).scale_to == 1


def test_the_lease_of_a_long_job_is_renewed_until_it_is_over() -> None:
    working = Replica("b", "ready", busy=1, consuming=False, drain_until=NOW + 5.0)
    assert step(1, [busy("a"), working]).drain == ("b",)


REPLICAS = st.builds(
    Replica,
    name=st.uuids().map(str),
    state=st.sampled_from(("pending", "unready", "ready", "ready", "ready", "ready")),
    busy=st.one_of(st.none(), st.just(0), st.just(0), st.integers(0, 8)),
    consuming=st.booleans(),
    drain_until=st.one_of(st.none(), st.floats(NOW - 50.0, NOW + 50.0)),
    deletion_cost=st.sampled_from((0, 0, 0, DRAINED_COST, -5, 7)),
)


def removed(replicas: list[Replica], costs: dict[str, int], count: int) -> list[Replica]:
    """Whom a ReplicaSet may take, at worst: among equals, the busiest."""
    order = {"pending": 0, "unready": 1, "ready": 2}

    def rank(each: Replica) -> tuple[int, int, int]:
        cost = costs.get(each.name, each.deletion_cost)
        harm = 99 if each.busy is None or each.consuming else each.busy
        return (order[each.state], cost, -harm)

    return sorted(replicas, key=rank)[:count]


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(REPLICAS, max_size=12),
    st.integers(-3, 3),
    st.integers(0, 14),
    st.booleans(),
)
def test_a_step_only_ever_removes_what_is_drained_and_idle_or_not_up(
    replicas: list[Replica], off: int, need: int, rolling: bool
) -> None:
    wanted = max(0, len(replicas) + off)
    made = next_step(decided(need), replicas, wanted=wanted, rolling=rolling, now=NOW)
    if made.scale_to is None or made.scale_to >= wanted:
        return
    assert not rolling
    assert made.scale_to >= need
    assert len(replicas) <= wanted
    for victim in removed(replicas, made.costs, max(0, len(replicas) - made.scale_to)):
        if victim.state != "pending":
            assert victim.name in made.remove
            assert victim.is_idle
            assert not victim.consuming
            assert victim.drain_until is not None
            assert victim.drain_until >= NOW + LEASE_MARGIN_S


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(REPLICAS, max_size=12), st.integers(-3, 3), st.integers(0, 14))
def test_a_step_never_contradicts_itself(replicas: list[Replica], off: int, need: int) -> None:
    wanted = max(0, len(replicas) + off)
    made = next_step(decided(need), replicas, wanted=wanted, rolling=False, now=NOW)
    assert not set(made.lift) & set(made.drain)
    assert not set(made.remove) & set(made.lift)
    if made.scale_to is not None:
        assert made.scale_to != wanted
