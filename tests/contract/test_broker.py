"""What every broker promises, looked at through its port and by real Celery workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
import redis
from brokers import BROKER_URLS, Kit, Workers, make_job, real_kit, wait_until, workers_of
from kombu import Connection
from servers import started_server

from marea.errors import BacklogUnavailable, BrokerUnavailable
from marea.messages.job import Job
from marea.queues.broker import DeadLetter, QueueDepth
from marea.queues.memory import MemoryBroker
from marea.queues.rabbitmq import EPOCH_QUEUE, open_connection
from marea.queues.redis import EPOCH_KEY, HOLDERS_KEY, RedisBroker, unacked_keys
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer

NOTHING = QueueDepth(0, 0)


@pytest.fixture(params=("memory", "redis", "rabbitmq"))
def kit(request: pytest.FixtureRequest) -> Kit:
    if request.param == "memory":
        broker = MemoryBroker()
        return Kit(broker, broker)
    return real_kit(request.getfixturevalue(BROKER_URLS[request.param]))


@pytest.fixture(params=("redis", "rabbitmq"))
def real(request: pytest.FixtureRequest) -> Kit:
    return real_kit(request.getfixturevalue(BROKER_URLS[request.param]))


@pytest.fixture
def workers(real: Kit, tmp_path: Path) -> Iterator[Workers]:
    with workers_of(real, tmp_path) as workers:
        yield workers


@pytest.fixture
def redis_kit(redis_url: str) -> Kit:
    return real_kit(redis_url)


@pytest.fixture
def redis_workers(redis_kit: Kit, tmp_path: Path) -> Iterator[Workers]:
    with workers_of(redis_kit, tmp_path) as workers:
        yield workers


def ready(kit: Kit, queue: str = "images.normal") -> int:
    return kit.broker.depths(("images",))[queue].ready


def unacknowledged(kit: Kit) -> list[int]:
    """What the workers hold per queue; [] where the broker cannot say."""
    depths = kit.broker.depths(("images",)).values()
    return [depth.unacked for depth in depths if depth.unacked is not None]


# through the port


def test_a_queue_that_was_never_used_holds_nothing(kit: Kit) -> None:
    depths = kit.broker.depths(("images", "tables"))
    assert sorted(depths) == ["images.high", "images.normal", "tables.high", "tables.normal"]
    assert {depth.ready for depth in depths.values()} == {0}


def test_declaring_twice_changes_nothing(kit: Kit) -> None:
    kit.broker.declare(("images",))
    kit.publisher.publish(make_job())
    kit.broker.declare(("images", "tables"))
    assert ready(kit) == 1


def test_remembers_its_epoch_until_it_is_set_anew(kit: Kit) -> None:
    assert kit.broker.epoch() is None
    kit.broker.set_epoch("first")
    # More readings than RabbitMQ delivers a message of a quorum queue by default.
    assert {kit.broker.epoch() for _ in range(30)} == {"first"}
    kit.broker.set_epoch("second")
    assert kit.broker.epoch() == "second"


def test_has_nothing_to_requeue_of_a_worker_it_never_heard_of(kit: Kit) -> None:
    assert kit.broker.holders() == {}
    assert kit.broker.requeue("nobody") == 0


def test_has_no_dead_letters_at_first(kit: Kit) -> None:
    assert kit.broker.drain_dead_letters(("images",), pytest.fail, 10) == 0


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://u:s3cret@127.0.0.1:1//"])
def test_unknown_is_not_zero_when_the_server_is_away(url: str) -> None:
    broker = real_kit(url).broker
    with pytest.raises(BacklogUnavailable) as refusal:
        broker.depths(("images",))
    assert "s3cret" not in str(refusal.value)
    for ask in (broker.epoch, lambda: broker.set_epoch("x"), lambda: broker.declare(("images",))):
        with pytest.raises(BrokerUnavailable):
            ask()


# with real workers


def test_a_worker_starts_every_high_job_before_a_normal_one(real: Kit, workers: Workers) -> None:
    real.publisher.publish(make_job("block/first", "high"))
    for i in range(12):
        real.publisher.publish(make_job(f"normal/{i}"))
    for i in range(12):
        real.publisher.publish(make_job(f"high/{i}", "high"))
    workers.start("w1")
    wait_until(lambda: workers.started_keys() == ["block/first"])
    workers.release()
    wait_until(lambda: len(workers.started()) == 25)
    highs = [f"high/{i}" for i in range(12)]
    normals = [f"normal/{i}" for i in range(12)]
    assert workers.started_keys() == ["block/first", *highs, *normals]


def test_a_high_job_overtakes_the_normal_ones_that_a_busy_worker_holds(
    real: Kit, workers: Workers
) -> None:
    for i in range(6):
        real.publisher.publish(make_job(f"block/{i}"))
    workers.start("w1", concurrency=2)
    wait_until(lambda: len(workers.started()) == 2)
    real.publisher.publish(make_job("high/late", "high"))
    workers.release()
    wait_until(lambda: len(workers.started()) == 7)
    assert "high/late" in workers.started_keys()[:4]


def test_a_warm_shutdown_finishes_its_job_and_leaves_the_rest(real: Kit, workers: Workers) -> None:
    for i in range(4):
        real.publisher.publish(make_job(f"block/{i}"))
    workers.start("w1")
    wait_until(lambda: len(workers.started()) == 1)
    workers.running["w1"].terminate()
    workers.release()
    assert workers.stop("w1") == 0
    assert len(workers.started()) == 1
    wait_until(lambda: ready(real) == 3)


def test_a_pickled_message_is_refused_and_the_worker_goes_on(real: Kit, workers: Workers) -> None:
    assert real.settings is not None
    real.broker.declare(("images",))
    with Connection(real.settings.broker.full_url) as connection:
        connection.Producer().publish(
            [["{}"], {}, {}],
            routing_key="images.normal",
            serializer="pickle",
            headers={"task": "marea.process_job", "id": "evil"},
        )
    real.publisher.publish(make_job("good.jpg"))
    workers.start("w1")
    wait_until(lambda: workers.started_keys() == ["good.jpg"])
    letters: list[DeadLetter] = []
    if real.settings.broker.kind == "rabbitmq":
        wait_until(lambda: real.broker.drain_dead_letters(("images",), letters.append, 10))
        assert letters[0].reason == "rejected in images.normal"
    assert workers.stop("w1") == 0
    assert ready(real) == 0


def test_another_worker_gets_what_a_killed_one_held(real: Kit, workers: Workers) -> None:
    real.publisher.publish(make_job("block/photo.jpg"))
    workers.start("w1")
    wait_until(workers.started)
    workers.kill("w1")
    if isinstance(real.broker, RedisBroker):
        assert real.broker.holders() == {"w1": 1}
        assert real.broker.depths(("images",))["images.normal"] == QueueDepth(0, 1)
        assert real.broker.requeue("w1") == 1
        assert real.broker.requeue("w1") == 0
        assert real.broker.holders() == {}
    wait_until(lambda: ready(real) == 1)
    workers.start("w2")
    wait_until(lambda: len(workers.started()) == 2)
    assert workers.started()[1] == ("w2", "block/photo.jpg", True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RedisServer, RabbitMqServer])
def test_a_worker_outlives_a_restart_of_its_broker_and_so_does_its_job(
    kind: type[RedisServer] | type[RabbitMqServer], tmp_path: Path
) -> None:
    with started_server(kind) as server:
        kit = real_kit(server.url())
        kit.publisher.publish(make_job("block/photo.jpg"))
        with workers_of(kit, tmp_path) as workers:
            workers.start("w1")
            wait_until(workers.started)
            child = workers.children("w1")
            server.restart()
            kit.publisher.publish(make_job("after.jpg"))
            workers.release()
            # From RabbitMQ the interrupted delivery comes once more, from Redis it need not.
            wait_until(lambda: "after.jpg" in workers.started_keys(), 60)
            assert workers.children("w1") == child, "the child was killed"
            wait_until(lambda: not any(unacknowledged(kit)))
            assert workers.stop("w1") == 0


# Redis


def test_redis_counts_what_workers_hold_per_queue(redis_kit: Kit, redis_workers: Workers) -> None:
    redis_kit.publisher.publish(make_job("block/a"))
    redis_kit.publisher.publish(make_job("block/b", "high"))
    redis_kit.publisher.publish(make_job("block/c"))
    redis_workers.start("w1", concurrency=2)
    wait_until(lambda: len(redis_workers.started()) == 2)
    assert redis_kit.broker.depths(("images",)) == {
        "images.high": QueueDepth(0, 1),
        "images.normal": QueueDepth(1, 1),
    }
    redis_workers.release()
    wait_until(
        lambda: (
            redis_kit.broker.depths(("images",))
            == {"images.high": NOTHING, "images.normal": NOTHING}
        )
    )


def test_redis_puts_requeued_messages_at_the_front_the_first_one_first(
    redis_kit: Kit, redis_url: str, redis_workers: Workers
) -> None:
    redis_kit.publisher.publish(make_job("block/a"))
    redis_workers.start("w1", concurrency=2)
    wait_until(lambda: len(redis_workers.started()) == 1)
    redis_kit.publisher.publish(make_job("block/b"))
    wait_until(lambda: len(redis_workers.started()) == 2)
    redis_kit.publisher.publish(make_job("block/c"))
    redis_workers.kill("w1")
    assert redis_kit.broker.requeue("w1") == 2
    redis_workers.release()
    redis_workers.start("w2")
    wait_until(lambda: len(redis_workers.started()) == 5)
    assert redis_workers.started()[2:] == [
        ("w2", "block/a", True),
        ("w2", "block/b", True),
        ("w2", "block/c", False),
    ]
    # Nothing of the dead worker stays behind.
    keys = {key.decode() for key in redis.Redis.from_url(redis_url).scan_iter()}
    assert not keys & set(astuple(unacked_keys("w1")))


def test_redis_leaves_with_a_worker_the_jobs_that_it_is_said_to_run(
    redis_kit: Kit, redis_workers: Workers
) -> None:
    jobs = [make_job(f"block/{name}") for name in "ab"]
    redis_kit.publisher.publish(jobs[0])
    redis_workers.start("w1", concurrency=2)
    wait_until(lambda: len(redis_workers.started()) == 1)
    redis_kit.publisher.publish(jobs[1])
    wait_until(lambda: len(redis_workers.started()) == 2)
    redis_workers.kill("w1")
    assert redis_kit.broker.requeue("w1", {jobs[0].id}) == 1
    assert redis_kit.broker.holders() == {"w1": 1}
    redis_workers.release()
    redis_workers.start("w2")
    wait_until(lambda: len(redis_workers.started()) == 3)
    assert redis_workers.started()[2:] == [("w2", "block/b", True)]


def test_redis_worker_consumes_on_after_the_loss_of_all_data(
    redis_kit: Kit, redis_url: str, redis_workers: Workers
) -> None:
    redis_kit.publisher.publish(make_job("before.jpg"))
    redis_workers.start("w1")
    wait_until(lambda: redis_workers.started_keys() == ["before.jpg"])
    redis.Redis.from_url(redis_url).flushall()
    redis_kit.publisher.publish(make_job("after.jpg"))
    wait_until(lambda: redis_workers.started_keys() == ["before.jpg", "after.jpg"])


def test_redis_forgets_its_epoch_with_its_data(redis_kit: Kit, redis_url: str) -> None:
    redis_kit.broker.set_epoch("mark")
    redis.Redis.from_url(redis_url).delete(EPOCH_KEY)
    assert redis_kit.broker.epoch() is None


@pytest.mark.parametrize("lost", ["index", "messages"])
def test_redis_requeues_with_half_of_a_workers_keys_lost(
    lost: str, redis_kit: Kit, redis_url: str
) -> None:
    client, keys = redis.Redis.from_url(redis_url), unacked_keys("w1")
    redis_kit.publisher.publish(make_job())
    message = json.loads(client.rpop("images.normal"))
    client.sadd(HOLDERS_KEY, "w1")
    client.zadd(keys.index, {"tag": 1.0})
    client.hset(keys.messages, "tag", json.dumps([message, "", "images.normal"]))
    client.delete(getattr(keys, lost))
    returned = 0 if lost == "messages" else 1
    assert redis_kit.broker.requeue("w1") == returned
    assert ready(redis_kit) == returned
    assert redis_kit.broker.holders() == {}
    assert not client.exists(keys.index, keys.messages)


def test_redis_drops_a_held_message_that_cannot_be_read(redis_kit: Kit, redis_url: str) -> None:
    client, keys = redis.Redis.from_url(redis_url), unacked_keys("w1")
    client.sadd(HOLDERS_KEY, "w1")
    client.hset(keys.messages, "tag", b"\xff not json")
    assert redis_kit.broker.depths(("images",))["images.normal"] == NOTHING
    assert redis_kit.broker.requeue("w1") == 0
    assert redis_kit.broker.holders() == {}


# RabbitMQ


def test_rabbitmq_dead_letters_what_is_refused_too_often(rabbitmq_url: str, tmp_path: Path) -> None:
    kit = real_kit(rabbitmq_url, delivery_limit=2)
    refused = make_job("refuse/träge-🌊.jpg")
    kit.publisher.publish(refused)
    letters: list[DeadLetter] = []
    with workers_of(kit, tmp_path) as workers:
        workers.start("w1")
        wait_until(lambda: kit.broker.drain_dead_letters(("images",), letters.append, 10))
        assert len(workers.started()) == 3  # once, and twice again
    assert [Job.from_json(letter.body) for letter in letters] == [refused]
    assert letters[0].queue == "images.dead-letter"
    assert letters[0].reason == "delivery_limit in images.normal"


def test_rabbitmq_keeps_a_dead_letter_that_nobody_could_handle(rabbitmq_url: str) -> None:
    kit = real_kit(rabbitmq_url)
    kit.broker.declare(("images",))
    assert kit.settings is not None
    with open_connection(kit.settings.broker) as connection, connection.channel() as channel:
        for body in ("one", "two", "three"):
            message = channel.prepare_message(body, content_encoding="utf-8")
            channel.basic_publish_confirm(message, routing_key="images.dead-letter")

    def fail(_letter: DeadLetter) -> None:
        raise BrokerUnavailable("the publisher is away")

    with pytest.raises(BrokerUnavailable, match="the publisher is away"):
        kit.broker.drain_dead_letters(("images",), fail, 10)
    bodies: list[str] = []
    drain = kit.broker.drain_dead_letters
    wait_until(lambda: drain(("images",), lambda letter: bodies.append(letter.body), 2) == 2)
    assert drain(("images",), lambda letter: bodies.append(letter.body), 10) == 1
    assert sorted(bodies) == ["one", "three", "two"]


def test_rabbitmq_forgets_its_epoch_with_its_data(rabbitmq_url: str) -> None:
    kit = real_kit(rabbitmq_url)
    kit.broker.set_epoch("mark")
    assert kit.settings is not None
    with open_connection(kit.settings.broker) as connection:
        connection.channel().queue_delete(EPOCH_QUEUE)
    assert kit.broker.epoch() is None


def test_rabbitmq_counts_what_workers_hold_by_its_management_api(
    limited_rabbitmq_url: str, rabbitmq_server: RabbitMqServer, tmp_path: Path
) -> None:
    login = limited_rabbitmq_url.removeprefix("amqp://").partition("@")[0]
    address = f"http://{login}@127.0.0.1:{rabbitmq_server.management_port}"
    kit = real_kit(limited_rabbitmq_url, management_url=address)
    kit.publisher.publish(make_job("block/photo.jpg"))
    with workers_of(kit, tmp_path) as workers:
        workers.start("w1")
        wait_until(
            lambda: (
                kit.broker.depths(("images",))
                == {"images.high": NOTHING, "images.normal": QueueDepth(0, 1)}
            )
        )


@pytest.mark.parametrize("queue", ["somebody-elses", "celeryev", "marea.pidbox", "images.low"])
def test_rabbitmq_user_can_make_no_queue_but_those_of_jobs(
    limited_rabbitmq_url: str, queue: str
) -> None:
    settings = real_kit(limited_rabbitmq_url).settings
    assert settings is not None
    with (
        open_connection(settings.broker) as connection,
        pytest.raises(connection.channel_errors, match="ACCESS_REFUSED"),
    ):
        connection.channel().queue_declare(queue)


def test_rabbitmq_user_can_publish_nothing_but_to_queues(limited_rabbitmq_url: str) -> None:
    settings = real_kit(limited_rabbitmq_url).settings
    assert settings is not None
    with open_connection(settings.broker) as connection:
        channel = connection.channel()
        channel.confirm_select()
        message = channel.prepare_message("text", content_encoding="utf-8")
        with pytest.raises(connection.channel_errors, match="ACCESS_REFUSED"):
            channel.basic_publish_confirm(message, exchange="amq.fanout", timeout=4)


def test_rabbitmq_has_only_the_queues_that_jobs_need(
    rabbitmq_url: str, rabbitmq_server: RabbitMqServer, tmp_path: Path
) -> None:
    kit = real_kit(rabbitmq_url)
    kit.publisher.publish(make_job())
    with workers_of(kit, tmp_path) as workers:
        workers.start("w1")
        wait_until(workers.started)
    vhost = rabbitmq_url.rpartition("/")[2]
    names = {
        queue["name"] for queue in rabbitmq_server.ask_management("GET", f"/api/queues/{vhost}")
    }
    assert names == {"images.high", "images.normal", "images.dead-letter"}


def test_rabbitmq_cannot_say_what_workers_hold_without_its_management_api(
    rabbitmq_url: str,
) -> None:
    depths = real_kit(rabbitmq_url).broker.depths(("images",))
    assert {depth.unacked for depth in depths.values()} == {None}


def test_rabbitmq_holds_when_its_management_api_is_configured_but_silent(
    rabbitmq_url: str,
) -> None:
    kit = real_kit(rabbitmq_url, management_url="http://user:s3cret@127.0.0.1:1")
    with pytest.raises(BacklogUnavailable, match="MANAGEMENT_URL") as refusal:
        kit.broker.depths(("images",))
    assert "s3cret" not in str(refusal.value)
