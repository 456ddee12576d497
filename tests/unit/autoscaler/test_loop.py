"""The autoscaler, tick by tick: what it asks for, whom it removes, and when it holds."""

from __future__ import annotations

import pytest
from scaled_pool import POOL, ScaledPool
from structlog.testing import capture_logs

from marea.results.decisions import LATEST, history_of
from marea.scaling.backlog import Backlog

START = 1_700_000_000.0


def test_a_burst_gets_its_whole_fleet_in_one_decision(pool: ScaledPool) -> None:
    pool.tick()
    pool.upload(60)
    decision = pool.tick()
    assert decision.limiter in ("drain", "max", "unmeasured")
    assert pool.fleets.wanted[POOL] == decision.replicas == decision.applied == 8


def test_starting_replicas_are_waited_for_and_not_asked_for_again(pool: ScaledPool) -> None:
    pool.upload(6)
    first = pool.tick()
    for _ in range(3):
        assert pool.tick().applied == first.applied


def test_a_replica_is_removed_only_after_it_has_said_that_it_takes_no_more(
    pool: ScaledPool,
) -> None:
    states = pool.upload(16)
    pool.tick()
    pool.start()
    pool.cancel(*states)
    removed = 0
    while pool.fleets.wanted[POOL]:
        gone = len(pool.fleets.ended)
        pool.tick()
        assert not pool.taking & set(pool.fleets.ended[gone:])
        removed = len(pool.fleets.ended)
        assert pool.clock.now() < START + 300, "the pool is parked"
    assert removed > 1


def test_a_busy_replica_stays_while_idle_ones_go(pool: ScaledPool) -> None:
    states = pool.upload(16)
    pool.tick()
    pool.start()
    busy, *idle = pool.fleets.names(POOL)
    assert idle
    pool.run(busy, states[0])
    pool.cancel(*states[1:])
    for _ in range(60):
        pool.tick()
    assert pool.fleets.names(POOL) == [busy]


def test_a_queue_that_cannot_be_counted_holds_the_pool(pool: ScaledPool) -> None:
    pool.upload(16)
    wanted = pool.tick().applied
    pool.broker.available = False
    for _ in range(60):
        decision = pool.tick()
        assert decision.is_hold
        assert decision.applied == wanted
    assert pool.fleets.wanted[POOL] == wanted


def test_it_is_told_once_why_pools_are_held_and_once_that_they_are_not(
    pool: ScaledPool, capsys: pytest.CaptureFixture[str]
) -> None:
    pool.upload(16)
    pool.tick()
    pool.broker.available = False
    pool.tick()
    pool.tick()
    pool.broker.available = True
    pool.tick()
    pool.tick()
    told = capsys.readouterr().out
    assert told.count("pools are held") == 1
    assert told.count("pools are sized again") == 1


def test_a_replica_that_is_ending_is_not_counted_as_busy(pool: ScaledPool) -> None:
    states = pool.upload(2)
    pool.tick()
    pool.start()
    (name,) = pool.fleets.names(POOL)
    pool.run(name, states[0])
    pool.fleets.scale(POOL, 0)  # somebody else's doing; its worker finishes what it runs
    pool.clock.sleep(1)
    reading = pool.autoscaler._signal.read(pool.fleets.views([POOL]))[POOL].reading
    assert isinstance(reading, Backlog)
    assert (reading.busy, reading.unacked) == (0, 1)


def test_an_api_server_that_is_away_holds_the_pool_and_is_told(pool: ScaledPool) -> None:
    pool.upload(16)
    wanted = pool.tick().applied
    pool.fleets.away = "the API server did not answer"
    pool.clock.sleep(2)
    assert pool.autoscaler.tick() == {}
    pool.fleets.away = ""
    assert pool.tick().applied == wanted


def test_a_pool_that_is_not_there_is_held_and_the_others_go_on(pool: ScaledPool) -> None:
    pool.tick()
    pool.fleets.delete(POOL)
    decision = pool.tick()
    assert decision.is_hold
    assert "not to be found" in decision.reason


def test_who_does_not_lead_decides_nothing(pool: ScaledPool) -> None:
    pool.fleets.leads = False
    pool.upload(16)
    assert pool.autoscaler.tick() == {}
    assert pool.fleets.wanted[POOL] == 0


def test_in_other_modes_it_decides_and_leaves_the_scale_alone() -> None:
    pool = ScaledPool(mode="keda")
    pool.upload(16)
    decision = pool.tick()
    assert decision.replicas is not None
    assert decision.replicas > 0
    assert decision.applied == 0
    assert pool.fleets.wanted[POOL] == 0


def test_what_another_scaler_does_is_no_change_by_hand() -> None:
    pool = ScaledPool(mode="keda")
    pool.tick()
    pool.fleets.scale(POOL, 4)
    decision = pool.tick()
    assert decision.limiter != "adopted"
    pool.fleets.scale(POOL, 1)
    assert pool.tick().limiter != "adopted"


def test_a_silent_replica_counts_as_busy_and_is_not_removed(pool: ScaledPool) -> None:
    states = pool.upload(2)
    pool.tick()
    pool.start()
    (name,) = pool.fleets.names(POOL)
    pool.cancel(*states)
    pool.silence(name)
    for _ in range(60):
        decision = pool.tick()
    assert decision.limiter == "busy"
    assert pool.fleets.names(POOL) == [name]


def test_a_scale_set_by_hand_is_kept_for_a_while(pool: ScaledPool) -> None:
    pool.tick()
    pool.fleets.scale(POOL, 3)
    decision = pool.tick()
    assert decision.limiter == "adopted"
    assert pool.fleets.wanted[POOL] == 3


def test_an_autoscaler_that_starts_anew_goes_on_with_the_fleet_that_is_there(
    pool: ScaledPool,
) -> None:
    states = pool.upload(16)
    wanted = pool.tick().applied
    pool.start()
    for name, state in zip(pool.fleets.names(POOL), states, strict=False):
        pool.run(name, state)
    pool.autoscaler = pool.new_autoscaler()
    assert pool.tick().applied == wanted


def test_each_change_is_announced_and_kept_with_its_reason(pool: ScaledPool) -> None:
    pool.tick()
    pool.upload(16)
    decision = pool.tick()
    pool.tick()
    name, sentence = pool.fleets.announced[0]
    assert name == POOL
    assert sentence.startswith(f"Scaled from 0 to {decision.applied}: ")
    assert decision.reason.endswith(sentence.partition(": ")[2])
    kept = pool.ledger.notes(history_of(POOL))
    assert [entry["applied"] for entry in kept][-2:] == [decision.applied, 0]
    assert all(entry["reason"] for entry in kept)
    latest = pool.ledger.value(LATEST)
    assert latest is not None
    assert latest["mode"] == "builtin"
    assert latest["pools"][POOL]["reason"]


def test_an_answer_to_a_lease_that_was_lifted_is_none_to_the_next(pool: ScaledPool) -> None:
    pool.upload(2)
    pool.tick()
    pool.start()
    (name,) = pool.fleets.names(POOL)
    signal = pool.autoscaler._signal
    now = pool.clock.now()
    signal.drained({name: now + 30})
    pool.say_obeys(name, now + 30)
    assert not signal.read(pool.fleets.views([POOL]))[POOL].replicas[0].consuming
    signal.drained({name: 0.0})
    signal.drained({name: now + 32})  # the worker has not beaten since, and took a job meanwhile
    assert signal.read(pool.fleets.views([POOL]))[POOL].replicas[0].consuming
    pool.say_obeys(name, now + 32)
    assert not signal.read(pool.fleets.views([POOL]))[POOL].replicas[0].consuming


def test_one_that_does_not_lead_decides_nothing_and_who_leads_is_told_once(
    pool: ScaledPool,
) -> None:
    pool.upload(16)
    pool.fleets.leads = False
    with capture_logs() as lines:
        assert [pool.autoscaler.tick() for _ in range(3)] == [{}, {}, {}]
        pool.fleets.leads = True
        pool.tick()
        pool.tick()
    told = [line["event"] for line in lines if "leads" in line["event"]]
    assert told == ["follows: another replica leads", "leads"]
    assert pool.fleets.wanted[POOL]
