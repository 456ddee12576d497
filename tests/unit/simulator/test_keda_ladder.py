"""KEDA's two loops: the known ladder from 0 to 50, and how a pool is parked."""

from __future__ import annotations

from statistics import mean

from hypothesis import given
from hypothesis import strategies as st

from marea.simulator.runs import play
from marea.simulator.scaler import Scaler
from marea.simulator.scalers.catalog import KEDA
from marea.simulator.scalers.hpa import SYNC_S, Hpa, HpaSpec
from marea.simulator.scalers.keda import Activity, KedaScaler, Operator
from marea.simulator.trace import Job, Trace

HOUR_S = 3600.0


def rise(poll_phase_s: float, sync_phase_s: float) -> list[tuple[float, int]]:
    """When default KEDA takes which step from 0 under a backlog that does not shrink."""
    activity, hpa = Activity(Operator()), Hpa(HpaSpec(5.0, 50))
    polls = [(poll_phase_s + 30.0 * n, "poll") for n in range(6)]
    syncs = [(sync_phase_s + SYNC_S * n, "sync") for n in range(12)]
    wanted, steps = 0, []
    for now, who in sorted(polls + syncs):
        after = (
            activity.poll(now, wanted, 4000.0)
            if who == "poll"
            else hpa.sync(now, wanted, wanted, 4000.0)
        )
        if after != wanted:
            steps.append((now, after))
        wanted = after
    return steps


PHASES = [(poll + 0.25, sync + 0.125) for poll in range(30) for sync in range(15)]


def test_from_zero_the_steps_are_1_4_8_16_32_50() -> None:
    for poll_s, sync_s in PHASES:
        assert [wanted for _, wanted in rise(poll_s, sync_s)] == [1, 4, 8, 16, 32, 50]


def test_fifty_are_asked_for_after_82_seconds_in_the_mean_and_105_at_worst() -> None:
    ends = [rise(poll_s, sync_s)[-1][0] for poll_s, sync_s in PHASES]
    assert 82.0 < mean(ends) < 83.0
    assert 103.0 < max(ends) <= 105.0
    assert min(ends) >= 60.0


def test_the_simulated_scaler_climbs_the_same_ladder() -> None:
    """With its phases drawn at random, pods that take their time, and a queue that shrinks."""

    class Watched(KedaScaler):
        steps: list[tuple[float, int]]

        def begin(self, world) -> None:  # type: ignore[no-untyped-def]
            self.steps = []
            world.every(0.25, 0.0, lambda: self._look(world))
            super().begin(world)

        def _look(self, world) -> None:  # type: ignore[no-untyped-def]
            wanted = world.pools["default"].wanted
            if wanted != (self.steps[-1][1] if self.steps else 0):
                self.steps.append((world.now, wanted))

    jobs = tuple(Job(0.0, 30.0) for _ in range(4000))
    ends = []
    for seed in range(20):
        scaler = Watched(KEDA)
        play(Trace("burst", "", jobs), scaler, seed)
        assert [wanted for _, wanted in scaler.steps[:6]] == [1, 4, 8, 16, 32, 50]
        ends.append(scaler.steps[5][0])
    assert max(ends) <= 105.25
    assert 70.0 < mean(ends) < 95.0


@given(st.integers(1, 50), st.floats(0, 300))
def test_a_pool_is_not_parked_within_the_cooldown(wanted: int, quiet_s: float) -> None:
    activity = Activity(Operator())
    activity.poll(0.0, wanted, 1.0)
    assert activity.poll(quiet_s, wanted, 0.0) == wanted


@given(st.integers(1, 50), st.floats(300.001, HOUR_S))
def test_after_the_cooldown_it_goes_to_zero_from_any_number(wanted: int, quiet_s: float) -> None:
    activity = Activity(Operator())
    activity.poll(0.0, wanted, 1.0)
    assert activity.poll(quiet_s, wanted, 0.0) == 0


def test_what_cannot_be_read_neither_wakes_nor_parks() -> None:
    activity = Activity(Operator())
    activity.poll(0.0, 7, 1.0)
    assert activity.poll(HOUR_S, 7, None) == 7
    assert activity.poll(HOUR_S, 0, None) == 0


def test_a_job_longer_than_cooldown_and_grace_is_killed_by_default_keda() -> None:
    """LLEN is 0 while it runs, so the pool is parked under it: again and again."""
    trace = Trace("one", "", (Job(0.0, 900.0),))
    pool = play(trace, KedaScaler(KEDA), 1).pools["default"]
    assert pool.interrupted > 1
    assert pool.lost_work_s > 300.0


def test_without_a_scaler_nothing_ever_starts() -> None:
    world = play(Trace("one", "", (Job(0.0, 1.0),)), Scaler(), 1)
    assert not world.is_drained
    assert world.pools["default"].worker_seconds == 0.0
