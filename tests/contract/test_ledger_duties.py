"""What every ledger keeps besides jobs: beats, the outbox, values, notes, announcements."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_states import START, make_job, make_state, saved

from marea.clock import FakeClock
from marea.lifecycle.state import WorkerBeat
from marea.messages.notification import Notification
from marea.results.ledger import Ledger


def notice(name: str, due_at: float = START) -> Notification:
    return Notification(name, "job", "http://subscriber/", {"state": "done"}, due_at=due_at)


# workers


def test_a_worker_lives_until_its_beat_expires(ledger: Ledger) -> None:
    beat = WorkerBeat("w1", "images", 2, START + 15, ("a", "b"), held=3, draining=True)
    ledger.beat(beat)
    assert ledger.worker("w1", START + 14.9) == beat
    assert ledger.workers(START + 14.9) == [beat]
    assert ledger.worker("w1", START + 15) is None
    assert ledger.workers(START + 15) == []
    assert ledger.worker("w2", START) is None


def test_a_new_beat_replaces_the_last(ledger: Ledger) -> None:
    ledger.beat(WorkerBeat("w1", "images", 2, START + 15))
    ledger.beat(WorkerBeat("w1", "images", 2, START + 30))
    ledger.beat(WorkerBeat("w0", "tables", 1, START + 30))
    assert [beat.worker for beat in ledger.workers(START + 20)] == ["w0", "w1"]


def test_a_forgotten_worker_is_dead_at_once(ledger: Ledger) -> None:
    ledger.beat(WorkerBeat("w1", "images", 2, START + 15))
    ledger.forget_worker("w1")
    ledger.forget_worker("w1")
    assert ledger.worker("w1", START) is None


# outbox


def test_puts_notifications_into_the_outbox_with_the_save_that_wins(ledger: Ledger) -> None:
    state = make_state(phase="done")
    assert ledger.save(state, [notice("n1"), notice("n2", START + 5)]) is not None
    assert ledger.save(state, [notice("n3")]) is None
    assert ledger.outbox_due(START + 9, 9) == [notice("n1"), notice("n2", START + 5)]


def test_saves_nothing_with_a_notification_that_is_no_json(ledger: Ledger) -> None:
    broken = Notification("n2", "job", "http://subscriber/", {"state": object()})
    with pytest.raises(TypeError):
        ledger.save(make_state(phase="done"), [notice("n1"), broken])
    assert ledger.load(make_job().id) is None
    assert ledger.outbox_due(START, 9) == []


def test_lists_due_notifications_earliest_first(ledger: Ledger) -> None:
    for name, due_at in (("b", START), ("a", START), ("early", START - 1), ("future", START + 1)):
        ledger.outbox_save(notice(name, due_at))
    assert [n.id for n in ledger.outbox_due(START, 9)] == ["early", "a", "b"]
    assert [n.id for n in ledger.outbox_due(START, 2)] == ["early", "a"]


def test_reschedules_a_notification_by_its_id(ledger: Ledger) -> None:
    ledger.outbox_save(notice("n1"))
    retried = Notification("n1", "job", "http://subscriber/", {"n": [1]}, tries=1, due_at=START + 8)
    ledger.outbox_save(retried)
    assert ledger.outbox_due(START, 9) == []
    assert ledger.outbox_due(START + 8, 9) == [retried]


def test_removes_a_notification_once_and_for_all(ledger: Ledger) -> None:
    ledger.outbox_save(notice("n1"))
    ledger.outbox_remove("n1")
    ledger.outbox_remove("n1")
    assert ledger.outbox_due(START, 9) == []


# values and notes


@pytest.mark.parametrize("value", [0, "text", [1, {"a": None}], {"ñ": 1.5}, False])
def test_keeps_a_json_value(ledger: Ledger, value: Any) -> None:
    assert ledger.value("sweep") is None
    ledger.set_value("sweep", value)
    assert ledger.value("sweep") == value


def test_gives_nobody_a_value_that_others_can_change(ledger: Ledger) -> None:
    given = {"keys": ["a"]}
    ledger.set_value("checkpoint", given)
    given["keys"].append("b")
    ledger.value("checkpoint")["keys"].append("c")  # type: ignore[index]
    assert ledger.value("checkpoint") == {"keys": ["a"]}


def test_a_value_expires_if_told_to(ledger: Ledger, clock: FakeClock) -> None:
    ledger.set_value("short", 1, expires_s=60)
    ledger.set_value("long", 2)
    clock.sleep(59)
    assert ledger.value("short") == 1
    clock.sleep(1)
    assert ledger.value("short") is None
    assert ledger.value("long") == 2


def test_keeps_the_latest_notes_newest_first(ledger: Ledger) -> None:
    assert ledger.notes("undecodable") == []
    for number in range(5):
        ledger.note("undecodable", {"number": number}, keep=3)
    assert ledger.notes("undecodable") == [{"number": 4}, {"number": 3}, {"number": 2}]
    assert ledger.notes("undecodable", limit=1) == [{"number": 4}]
    assert ledger.notes("decisions") == []


# watching


def test_announces_each_save_from_the_moment_of_watching(ledger: Ledger) -> None:
    saved(ledger, make_state("before"))
    announced = ledger.watch(poll_s=20)
    first = saved(ledger, make_state("after"))
    assert ledger.save(first.but(rev=7)) is None
    second = saved(ledger, first.but(phase="done"))
    assert next(announced) == first
    assert next(announced) == second


def test_tells_every_watcher(ledger: Ledger) -> None:
    watchers = [ledger.watch(poll_s=20) for _ in range(3)]
    state = saved(ledger, make_state())
    assert [next(watcher) for watcher in watchers] == [state] * 3


def test_tells_a_watcher_that_nothing_happened(ledger: Ledger) -> None:
    assert next(ledger.watch(poll_s=0.01)) is None


def test_answers_a_ping(ledger: Ledger) -> None:
    ledger.ping()
