"""A pool of somebody's own Celery workers: sized like ours, drained and watched from outside."""

from __future__ import annotations

import pytest
from scaled_app import OWN, SHOP, SILENT_S, ScaledApp

from marea.results.decisions import LATEST, history_of
from marea.scaling.backlog import Backlog
from marea.scaling.step import LEASE_S


@pytest.fixture
def shop() -> ScaledApp:
    return ScaledApp()


def grown(shop: ScaledApp, tasks: int = 16) -> list[str]:
    """Replicas for so many tasks, with workers that run; their names."""
    shop.tick()
    shop.app.send(tasks)
    shop.tick()
    return shop.start()


def drained(shop: ScaledApp) -> None:
    """All tasks are done, in time."""
    for _ in range(30):
        shop.finish()
    assert not shop.app.ready


def test_a_burst_gets_its_whole_fleet_in_one_decision(shop: ScaledApp) -> None:
    shop.tick()
    shop.app.send(60)
    decision = shop.tick()
    assert shop.fleets.wanted[SHOP] == decision.replicas == decision.applied == 8
    assert decision.inputs["ready"] == 60


def test_from_a_burst_to_nothing_with_no_task_interrupted(shop: ScaledApp) -> None:
    grown(shop, tasks=60)
    for _ in range(100):
        shop.finish()
        shop.tick()
    assert shop.fleets.wanted[SHOP] == 0
    assert not shop.app.ready
    assert len(shop.fleets.ended) == 8
    assert shop.interrupted == 0


def test_a_busy_replica_stays_while_idle_ones_go(shop: ScaledApp) -> None:
    busy, *idle = grown(shop)
    assert idle
    drained(shop)
    shop.app.pause([shop.worker(name) for name in idle])
    shop.app.send(1)
    shop.app.resume([shop.worker(name) for name in idle])
    for _ in range(60):
        shop.tick()
    assert shop.names == [busy]


def test_a_replica_is_removed_only_after_it_fetches_nothing_and_has_nothing(
    shop: ScaledApp,
) -> None:
    grown(shop)
    drained(shop)
    while shop.fleets.wanted[SHOP]:
        paused, gone = shop.paused, len(shop.fleets.ended)
        shop.tick()
        assert set(shop.fleets.ended[gone:]) <= paused
    assert shop.interrupted == 0


def test_what_tasks_take_is_measured_by_name_and_asked_for_in_replicas(shop: ScaledApp) -> None:
    grown(shop)
    shop.finish(seconds=7.0)
    assert shop.tick().inputs["service_s"] == pytest.approx(7.0)


def test_tasks_that_come_are_counted(shop: ScaledApp) -> None:
    grown(shop, tasks=2)
    for _ in range(120):
        shop.app.send(4)
        shop.finish()
        decision = shop.tick()
    assert decision.inputs["arrivals_per_s"] == pytest.approx(2.0, rel=0.2)


def test_tasks_with_an_eta_keep_one_replica_and_not_all(shop: ScaledApp) -> None:
    names = grown(shop)
    drained(shop)
    for name in names:
        shop.app.schedule(shop.worker(name), 1)
    sizes = []
    for _ in range(100):
        shop.tick()
        shop.app.ready.clear()  # those given back come to whoever is left, and are kept there
        sizes.append(shop.fleets.wanted[SHOP])
    assert sizes[-50:] == [1] * 50, "it does not go back and forth"
    assert shop.interrupted == 0


def test_messages_of_a_worker_that_was_killed_keep_a_replica_that_can_ask_for_them(
    shop: ScaledApp,
) -> None:
    names = grown(shop)
    drained(shop)
    shop.app.schedule(shop.worker(names[0]), 3)
    shop.app.kill(shop.worker(names[0]))
    shop.fleets.replace(SHOP, names[0])
    for _ in range(60):
        shop.start()
        shop.tick()
    assert shop.fleets.wanted[SHOP] == 1
    shop.app.lost = 0
    for _ in range(30):
        shop.tick()
    assert shop.fleets.wanted[SHOP] == 0


def test_a_broker_that_does_not_answer_holds_its_pool_and_no_other(shop: ScaledApp) -> None:
    grown(shop)
    wanted = shop.fleets.wanted[SHOP]
    shop.app.away = "the broker of the shop does not answer"
    for _ in range(30):
        decisions = shop.ticks()
        assert decisions[SHOP].is_hold
        assert "of the shop does not answer" in decisions[SHOP].reason
        assert not decisions[OWN].is_hold
    assert shop.fleets.wanted[SHOP] == wanted


def test_our_own_broker_that_does_not_answer_holds_our_own_pools_alone(shop: ScaledApp) -> None:
    shop.broker.available = False
    decisions = shop.ticks()
    assert decisions[OWN].is_hold
    assert not decisions[SHOP].is_hold


def test_decisions_are_kept_like_those_of_any_pool(shop: ScaledApp) -> None:
    grown(shop)
    latest = shop.ledger.value(LATEST)
    assert latest is not None
    assert latest["pools"][SHOP]["reason"]
    assert shop.ledger.notes(history_of(SHOP))
    assert shop.fleets.announced[0][1].startswith("Scaled from 0 to ")


def test_workers_that_a_dead_autoscaler_drained_fetch_again(shop: ScaledApp) -> None:
    grown(shop)
    drained(shop)
    while not shop.paused:
        shop.tick()
    shop.autoscaler = shop.new_autoscaler()
    shop.app.send(100)
    shop.tick()
    assert not shop.paused


def test_a_drain_that_nobody_renews_ends_by_itself(shop: ScaledApp) -> None:
    grown(shop)
    drained(shop)
    while not shop.paused:
        shop.tick()
    shop.app.away = "the broker went away"
    shop.tick(LEASE_S + 1)
    shop.app.away = ""
    shop.app.send(100)
    shop.tick()
    assert not shop.paused


def test_an_order_that_got_lost_is_given_again(shop: ScaledApp) -> None:
    names = grown(shop)
    drained(shop)
    while not shop.paused:
        shop.tick()
    shop.app.resume([shop.worker(name) for name in names])
    for _ in range(100):
        shop.tick()
    assert shop.fleets.wanted[SHOP] == 0
    assert shop.interrupted == 0


def test_a_silent_worker_is_busy_with_all_its_slots(shop: ScaledApp) -> None:
    names = grown(shop, tasks=4)
    drained(shop)
    shop.app.freeze(shop.worker(names[0]))
    for _ in range(20):
        decision = shop.tick()
    assert decision.limiter == "busy"
    assert decision.inputs["busy"] == 2


def test_a_worker_that_hangs_is_replaced_and_that_is_told(
    shop: ScaledApp, capsys: pytest.CaptureFixture[str]
) -> None:
    hung, *_ = grown(shop)
    shop.app.freeze(shop.worker(hung))
    for _ in range(int(SILENT_S / 2)):
        shop.tick()
        assert hung in shop.names
    shop.tick()
    shop.tick()
    assert hung not in shop.names
    assert (SHOP, f"Replaced {hung}: its worker sends no heartbeat and does not answer") in (
        shop.fleets.announced
    )
    assert "replaced" in capsys.readouterr().out


def test_workers_are_not_replaced_for_an_outage_of_their_broker(shop: ScaledApp) -> None:
    names = grown(shop)
    shop.app.away = "the broker is away"
    for _ in range(60):
        shop.tick()
    shop.app.away = ""
    for name in names:
        shop.app.freeze(shop.worker(name))  # none of them has found the broker again yet
    for _ in range(40):
        shop.tick()
    assert shop.names == names


def test_of_several_that_hang_one_goes_per_minute(shop: ScaledApp) -> None:
    names = grown(shop)
    for name in names:
        shop.app.freeze(shop.worker(name))
    replaced_at: list[float] = []
    while len(replaced_at) < 3:
        shop.tick()
        told = [each for _, each in shop.fleets.announced if each.startswith("Replaced")]
        replaced_at += [shop.clock.now()] * (len(told) - len(replaced_at))
    assert replaced_at[1] - replaced_at[0] >= 60.0
    assert replaced_at[2] - replaced_at[1] >= 60.0


def test_one_that_takes_long_to_come_up_is_not_replaced_for_that(shop: ScaledApp) -> None:
    names = grown(shop)
    for name in names[1:]:
        del shop.app.workers[shop.worker(name)]  # its process runs, and has yet to say so
    for _ in range(int(SILENT_S)):
        shop.tick()
    assert set(names[1:]) <= set(shop.names)


def test_with_0_seconds_a_worker_that_hangs_is_left() -> None:
    shop = ScaledApp(silent_s=0.0)
    hung, *_ = grown(shop)
    shop.app.freeze(shop.worker(hung))
    for _ in range(200):
        shop.tick()
    assert hung in shop.names


def test_replicas_that_are_not_up_are_starting_and_not_asked_for_again(shop: ScaledApp) -> None:
    shop.tick()
    shop.app.send(6)
    first = shop.tick()
    for _ in range(3):
        assert shop.tick().applied == first.applied
    reading = shop.autoscaler._signal.read(shop.fleets.views([SHOP, OWN]))[SHOP].reading
    assert isinstance(reading, Backlog)
    assert reading.fleet.starting == first.applied


def test_an_autoscaler_that_ends_listens_no_more(shop: ScaledApp) -> None:
    shop.autoscaler._signal.close()
    assert shop.app.closed
