"""What every publisher promises, on the broker in memory and on real Redis and RabbitMQ."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic

import pytest
import redis
from brokers import BROKER_URLS, PUBLISH_TIMEOUT_S, Kit, frozen, make_job, real_kit, wait_until
from servers import started_server

from marea.errors import BrokerUnavailable
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.queues.memory import MemoryBroker
from marea.queues.rabbitmq import open_connection
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer
from marea.up.servers import ServerProcess

REAL = ("redis", "rabbitmq")


@pytest.fixture(params=("memory", *REAL))
def kit(request: pytest.FixtureRequest) -> Kit:
    if request.param == "memory":
        broker = MemoryBroker()
        return Kit(broker, broker)
    return real_kit(request.getfixturevalue(BROKER_URLS[request.param]))


@contextmanager
def own_server(name: str) -> Iterator[tuple[ServerProcess, Kit]]:
    """A server that the test may harm."""
    with started_server(RedisServer if name == "redis" else RabbitMqServer) as server:
        yield server, real_kit(server.url())


def ready(kit: Kit, queue: str) -> int:
    pool = queue.rpartition(".")[0]
    return kit.broker.depths((pool,))[queue].ready


def refused_within(publish: Callable[[], object], timeout_s: float) -> str:
    """The refusal's sentence; fails if it comes late or not at all."""
    start = monotonic()
    with pytest.raises(BrokerUnavailable) as refusal:
        publish()
    # A second for the scheduler of a busy machine.
    assert monotonic() - start < timeout_s + 1
    return str(refusal.value)


def test_puts_a_job_into_the_queue_of_its_pool_and_priority(kit: Kit) -> None:
    kit.publisher.publish(make_job())
    kit.publisher.publish(make_job(priority="high"))
    kit.publisher.publish(make_job(pool="tables"))
    depths = kit.broker.depths(("images", "tables"))
    assert {queue: depth.ready for queue, depth in depths.items()} == {
        "images.high": 1,
        "images.normal": 1,
        "tables.high": 0,
        "tables.normal": 1,
    }


def test_puts_a_quarantined_job_into_quarantine_with_its_priority(kit: Kit) -> None:
    kit.publisher.publish(make_job(priority="high"), quarantine=True)
    assert ready(kit, "quarantine.high") == 1
    assert ready(kit, "images.high") == 0


def test_confirms_each_job_of_a_batch(kit: Kit) -> None:
    # More than one pipeline or confirm window, over several queues.
    jobs = [make_job(f"{i}.jpg", "high" if i % 3 else "normal") for i in range(1100)]
    assert kit.publisher.publish_many(jobs) == [True] * 1100
    assert ready(kit, "images.high") == 733
    assert ready(kit, "images.normal") == 367


def test_confirms_nothing_of_an_empty_batch(kit: Kit) -> None:
    assert kit.publisher.publish_many([]) == []


def test_answers_a_ping(kit: Kit) -> None:
    kit.publisher.ping()


def test_counts_every_job_of_many_threads(kit: Kit) -> None:
    with ThreadPoolExecutor(24) as threads:  # more than there are connections
        list(threads.map(lambda i: kit.publisher.publish(make_job(f"{i}.jpg")), range(120)))
    assert ready(kit, "images.normal") == 120


def test_memory_raises_when_the_broker_is_away() -> None:
    broker = MemoryBroker()
    broker.available = False
    with pytest.raises(BrokerUnavailable):
        broker.publish(make_job())
    assert broker.publish_many([make_job()]) == [False]
    broker.available = True
    broker.publish(make_job())
    assert broker.depths(("images",))["images.normal"].ready == 1


def test_memory_may_have_queued_what_it_did_not_confirm() -> None:
    broker = MemoryBroker()
    broker.confirms = False
    assert broker.publish_many([make_job()]) == [False]
    assert broker.depths(("images",))["images.normal"].ready == 1


@pytest.mark.parametrize("name", REAL)
def test_publishes_from_a_forked_child_and_still_from_the_parent(
    name: str, request: pytest.FixtureRequest
) -> None:
    kit = real_kit(request.getfixturevalue(f"{name}_url"))
    kit.publisher.publish(make_job("before.jpg"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kit.publisher.publish(make_job("child.jpg"))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    kit.publisher.publish(make_job("after.jpg"))
    assert ready(kit, "images.normal") == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_says_within_the_bound_that_the_server_is_dead_and_works_again_after_its_restart(
    name: str,
) -> None:
    with own_server(name) as (server, kit):
        kit.publisher.publish(make_job("first.jpg"))
        # RabbitMQ 3.10.8 may not find the log of a queue again that is younger than about
        # three seconds when it is killed (tried with a plain quorum queue). A clean restart
        # makes it old.
        server.restart()
        kit.publisher.publish(make_job("second.jpg"))  # on a connection that died idle
        server.kill()
        sentence = refused_within(lambda: kit.publisher.publish(make_job()), PUBLISH_TIMEOUT_S)
        assert "Connection refused" in sentence
        refused_within(kit.publisher.ping, PUBLISH_TIMEOUT_S)
        assert kit.publisher.publish_many([make_job(), make_job()]) == [False, False]
        server.start()
        kit.publisher.publish(make_job("third.jpg"))
        wait_until(lambda: ready(kit, "images.normal") == 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_says_within_the_bound_that_the_server_hangs_and_goes_on_after_it(name: str) -> None:
    with own_server(name) as (server, kit):
        kit.publisher.publish(make_job())
        assert server.pid is not None
        with frozen(server.pid):
            refused_within(lambda: kit.publisher.publish(make_job()), PUBLISH_TIMEOUT_S)  # reused
            refused_within(lambda: kit.publisher.publish(make_job()), PUBLISH_TIMEOUT_S)  # new
        kit.publisher.publish(make_job("after.jpg"))


def test_does_not_show_the_password_when_the_broker_is_away() -> None:
    kit = real_kit("amqp://user:s3cret@127.0.0.1:1//")
    assert "s3cret" not in refused_within(kit.publisher.ping, PUBLISH_TIMEOUT_S)


def test_redis_publishes_on_after_the_loss_of_all_data(redis_url: str) -> None:
    kit = real_kit(redis_url)
    kit.publisher.publish(make_job("lost.jpg"))
    redis.Redis.from_url(redis_url).flushall()
    kit.publisher.publish(make_job("kept.jpg"))
    assert ready(kit, "images.normal") == 1


def test_redis_needs_no_key_but_the_queue_itself(redis_url: str) -> None:
    # A binding key would be one more thing that FLUSHALL or eviction could take away.
    kit = real_kit(redis_url)
    kit.publisher.publish_many([make_job(), make_job(priority="high")])
    keys = sorted(redis.Redis.from_url(redis_url).keys())
    assert keys == [b"images.high", b"images.normal"]


def test_redis_holds_a_queued_job_in_eleven_hundred_bytes(redis_url: str) -> None:
    kit = real_kit(redis_url)
    ref = ObjectRef("uploads", "k" * 60, "v" * 64, "e" * 32, 12_345_678)
    job = Job(ref, "thumbnails", "images", tenant="customer-42", route="photographs")
    assert all(kit.publisher.publish_many([job] * 1000))
    size_bytes = redis.Redis.from_url(redis_url).memory_usage("images.normal", samples=0)
    assert size_bytes / 1000 < 1100


def test_redis_message_is_plain_json_with_nothing_that_celery_can_do_without(
    redis_url: str,
) -> None:
    kit, job = real_kit(redis_url), make_job("träge/🌊.jpg")
    kit.publisher.publish(job)
    message = json.loads(redis.Redis.from_url(redis_url).lindex("images.normal", 0))
    assert message["headers"] == {"task": "marea.process_job", "id": job.id}
    arguments, keywords, embedded = json.loads(message["body"])
    assert Job.from_json(arguments[0]) == job
    assert (keywords, embedded) == ({}, {})


def test_rabbitmq_confirms_into_a_new_queue_when_somebody_deleted_it(rabbitmq_url: str) -> None:
    kit = real_kit(rabbitmq_url)
    assert kit.settings is not None
    kit.publisher.publish(make_job("lost.jpg"))
    with open_connection(kit.settings.broker) as connection:
        connection.channel().queue_delete("images.normal")
        kit.publisher.publish(make_job("kept.jpg"))
        assert ready(kit, "images.normal") == 1
        connection.channel().queue_delete("images.normal")
        jobs = [make_job(), make_job(priority="high"), make_job()]  # one id, two queues
        assert kit.publisher.publish_many(jobs) == [True, True, True]
    assert ready(kit, "images.normal") == 2
    assert ready(kit, "images.high") == 1
