"""What events tell, whatever comes along on the exchange that all applications share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.apps.app import Took
from marea.apps.heard import MAX_TASKS, Heard

WORKER = "shop@pod-1"
NOW = 1_700_000_000.0


@pytest.fixture
def heard() -> Heard:
    return Heard("shop")


def beat(heard: Heard, processed: int, worker: str = WORKER, now: float = NOW) -> None:
    event = {"type": "worker-heartbeat", "hostname": worker, "processed": processed}
    heard.event(event, now)


def task(heard: Heard, kind: str, **fields: Any) -> None:
    event = {"type": f"task-{kind}", "hostname": WORKER, "uuid": "1", **fields}
    heard.event(event, NOW)


def test_any_event_of_a_worker_is_a_sign_of_its_life(heard: Heard) -> None:
    assert heard.heard_at(WORKER) is None
    beat(heard, 0)
    assert heard.heard_at(WORKER) == NOW
    heard.event({"type": "task-received", "hostname": WORKER, "uuid": "1"}, NOW + 5)
    assert heard.heard_at(WORKER) == NOW + 5


def test_who_says_good_bye_is_not_there_any_more(heard: Heard) -> None:
    beat(heard, 3)
    heard.event({"type": "worker-offline", "hostname": WORKER}, NOW)
    assert heard.heard_at(WORKER) is None


def test_workers_of_other_applications_and_clients_are_not_heard(heard: Heard) -> None:
    beat(heard, 3, worker="shopping@pod-1")
    heard.event({"type": "task-sent", "hostname": "shop@web", "uuid": "1"}, NOW)
    assert heard.heard_at("shopping@pod-1") is heard.heard_at("shop@web") is None


def test_tasks_begun_before_it_listened_are_not_counted_and_later_ones_are(heard: Heard) -> None:
    beat(heard, 500)
    assert heard.started == 0
    beat(heard, 503)
    assert heard.started == 3


def test_a_worker_that_starts_again_counts_from_zero(heard: Heard) -> None:
    beat(heard, 0)
    beat(heard, 10)
    beat(heard, 4)
    assert heard.started == 14


def test_a_task_takes_what_its_worker_says(heard: Heard) -> None:
    task(heard, "received", name="shop.mail")
    task(heard, "started", timestamp=10.0)
    task(heard, "succeeded", timestamp=99.0, runtime=2.5)
    assert heard.took() == {"shop.mail": Took(1, 2.5)}


@pytest.mark.parametrize("end", ["failed", "retried"])
def test_a_task_that_fails_takes_from_its_start_to_its_end(heard: Heard, end: str) -> None:
    task(heard, "received", name="shop.mail")
    task(heard, "started", timestamp=10.0)
    task(heard, end, timestamp=14.0)
    assert heard.took() == {"shop.mail": Took(1, 4.0)}


def test_a_task_that_never_ran_is_not_measured(heard: Heard) -> None:
    task(heard, "received", name="shop.mail")
    task(heard, "revoked")
    task(heard, "succeeded", runtime=2.5)
    assert heard.took() == {}


def test_a_task_that_began_unheard_is_measured_by_what_its_worker_answered(heard: Heard) -> None:
    heard.name("1", "shop.mail", started=10.0)
    task(heard, "failed", timestamp=13.0)
    assert heard.took() == {"shop.mail": Took(1, 3.0)}


def test_tasks_whose_end_is_never_heard_do_not_fill_the_memory(heard: Heard) -> None:
    for number in range(MAX_TASKS + 5):
        task(heard, "received", uuid=str(number), name="shop.mail")
    assert len(heard._tasks) == MAX_TASKS
    task(heard, "succeeded", uuid="0", runtime=1.0)
    assert heard.took() == {}
    task(heard, "succeeded", uuid=str(MAX_TASKS), runtime=1.0)
    assert heard.took() == {"shop.mail": Took(1, 1.0)}


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
events = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["worker-heartbeat", "task-started", "task-succeeded"]) | anything,
        "hostname": st.just(WORKER) | anything,
        "uuid": st.sampled_from(["1", "2"]) | anything,
        "name": st.just("shop.mail") | anything,
        "processed": anything,
        "runtime": anything,
        "timestamp": anything,
    },
)


@given(st.lists(events, max_size=20))
def test_whatever_is_sent_counts_only_grow_and_make_sense(sent: list[dict[str, Any]]) -> None:
    heard = Heard("shop")
    task(heard, "received", name="shop.mail")
    before = 0
    for event in sent:
        heard.event(event, NOW)
        assert heard.started >= before
        before = heard.started
        assert all(each.seconds >= 0.0 for each in heard.took().values())
