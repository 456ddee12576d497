from __future__ import annotations

import random

import pytest

from marea.errors import BrokerUnavailable
from marea.messages.job import Job, Priority
from marea.messages.objects import ObjectRef
from marea.queues.broker import DeadLetter, QueueDepth
from marea.queues.memory import MemoryBroker

POOLS = ("images",)


def make_job(key: str, priority: Priority = "normal") -> Job:
    return Job(ObjectRef("uploads", key, "v1"), "grayscale", "images", priority)


def loaded(*keys: str, redelivers: bool = False, delivery_limit: int = 20) -> MemoryBroker:
    broker = MemoryBroker(redelivers=redelivers, delivery_limit=delivery_limit)
    assert all(broker.publish_many([make_job(key) for key in keys]))
    return broker


def take_all(broker: MemoryBroker, worker: str = "w1") -> list[str]:
    keys = []
    while (delivery := broker.take(worker, POOLS)) is not None:
        keys.append(delivery.job.ref.key)
    return keys


def test_gives_high_before_normal_and_first_in_first_out() -> None:
    broker = loaded("a", "b")
    broker.publish(make_job("c", "high"))
    broker.publish(make_job("d", "high"))
    assert take_all(broker) == ["c", "d", "a", "b"]


def test_gives_a_worker_only_what_is_for_its_pools() -> None:
    broker = loaded("a")
    assert broker.take("w1", ("tables",)) is None


def test_counts_what_is_taken_as_held_until_it_is_acknowledged() -> None:
    broker = loaded("a", "b")
    delivery = broker.take("w1", POOLS)
    assert delivery is not None
    assert broker.depths(POOLS)["images.normal"] == QueueDepth(ready=1, unacked=1)
    assert broker.holders() == {"w1": 1}
    broker.ack("w1", delivery)
    assert broker.depths(POOLS)["images.normal"] == QueueDepth(ready=1, unacked=0)


def test_like_redis_keeps_what_a_dead_worker_held_until_it_is_requeued_in_front() -> None:
    broker = loaded("a", "b", "c")
    broker.take("w1", POOLS)
    broker.take("w1", POOLS)
    broker.crash("w1")
    assert broker.holders() == {"w1": 2}
    assert broker.requeue("w1") == 2
    again = broker.take("w2", POOLS)
    assert again is not None
    assert (again.job.ref.key, again.redelivered) == ("a", True)
    assert take_all(broker, "w2") == ["b", "c"]


def test_like_rabbitmq_redelivers_what_a_dead_worker_held_at_once() -> None:
    broker = loaded("a", "b", redelivers=True)
    broker.take("w1", POOLS)
    broker.crash("w1")
    assert broker.holders() == {}
    assert broker.requeue("w1") == 0
    assert take_all(broker) == ["a", "b"]


def test_like_rabbitmq_gives_up_after_the_delivery_limit() -> None:
    broker = loaded("a", redelivers=True, delivery_limit=2)
    for _ in range(3):
        delivery = broker.take("w1", POOLS)
        assert delivery is not None
        broker.reject("w1", delivery)
    assert broker.take("w1", POOLS) is None
    letters: list[DeadLetter] = []
    assert broker.drain_dead_letters(POOLS, letters.append, 10) == 1
    assert Job.from_json(letters[0].body) == make_job("a")
    assert broker.drain_dead_letters(POOLS, letters.append, 10) == 0


def test_keeps_a_dead_letter_whose_handling_failed() -> None:
    broker = loaded("a", redelivers=True, delivery_limit=0)
    broker.take("w1", POOLS)
    broker.crash("w1")

    def fail(_letter: DeadLetter) -> None:
        raise BrokerUnavailable("away")

    with pytest.raises(BrokerUnavailable):
        broker.drain_dead_letters(POOLS, fail, 10)
    assert broker.drain_dead_letters(POOLS, lambda _letter: None, 10) == 1


def test_an_ack_after_the_message_was_given_back_acknowledges_nothing() -> None:
    broker = loaded("a")
    delivery = broker.take("w1", POOLS)
    assert delivery is not None
    broker.requeue("w1")
    broker.ack("w1", delivery)
    assert take_all(broker, "w2") == ["a"]


def test_a_wipe_loses_messages_holders_and_epoch() -> None:
    broker = loaded("a", "b")
    broker.take("w1", POOLS)
    broker.set_epoch("mark")
    broker.wipe()
    assert broker.depths(POOLS)["images.normal"] == QueueDepth(0, 0)
    assert (broker.epoch(), broker.holders()) == (None, {})


def test_drops_the_next_messages_and_no_more_than_there_are() -> None:
    broker = loaded("a", "b", "c")
    assert broker.drop(2) == 2
    assert take_all(broker) == ["c"]
    assert broker.drop(1) == 0


def test_delivers_a_duplicated_message_twice() -> None:
    broker = loaded("a", "b")
    assert broker.duplicate(1) == 1
    assert take_all(broker) == ["a", "b", "a"]
    assert broker.holders() == {"w1": 3}


def test_shuffles_the_same_way_for_the_same_seed_and_loses_nothing() -> None:
    keys = [str(i) for i in range(20)]
    orders = []
    for _ in range(2):
        broker = loaded(*keys)
        broker.shuffle(random.Random(7))
        orders.append(take_all(broker))
    assert orders[0] == orders[1] != keys
    assert sorted(orders[0]) == sorted(keys)


def test_gives_and_takes_nothing_while_it_is_away() -> None:
    broker = loaded("a", "b")
    delivery = broker.take("w1", POOLS)
    assert delivery is not None
    broker.available = False
    assert broker.take("w1", POOLS) is None
    broker.ack("w1", delivery)
    with pytest.raises(BrokerUnavailable):
        broker.requeue("w1")
    broker.available = True
    assert broker.holders() == {"w1": 1}
