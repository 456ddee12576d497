"""A Celery application in memory, and the tutorial's by Redis and by RabbitMQ: one suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from app_workers import AppWorkers, client_of
from apps_suite import WORKER, AppSuite, look, look_at
from kombu import Connection
from servers import started_server
from waiting import wait_until

from marea.apps.celery import CeleryBrokerApp
from marea.apps.memory import MemoryApp
from marea.clock import FakeClock, SystemClock
from marea.errors import BacklogUnavailable
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer

NOBODY_LISTENS = "127.0.0.1:9"
FAR_S = 600


class MemoryWorld:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.app = MemoryApp(self._clock)
        self.unreachable = MemoryApp(self._clock, away="nobody is there")
        self._seconds = 0.0

    def start(self) -> None:
        self.app.start(WORKER, 2)

    def end(self) -> None:
        self.app.end(WORKER)

    def freeze(self) -> None:
        self.app.freeze(WORKER)

    def thaw(self) -> None:
        self.app.freeze(WORKER, False)

    def send(self, count: int, seconds: float) -> None:
        self._seconds = seconds
        self.app.send(count)

    def send_for_later(self) -> None:
        self.app.schedule(WORKER, 1)

    def pass_time(self) -> None:
        self._clock.sleep(1.0)
        if WORKER in self.app.workers:
            self.app.finish(WORKER, self._seconds)

    def purge(self) -> None:
        self.app.ready.clear()


class RealWorld:
    """A worker process, which stays from test to test."""

    def __init__(self, broker_url: str, backend_url: str, folder: Path) -> None:
        clock = SystemClock()
        self.app = CeleryBrokerApp("shop", ["celery"], broker_url, clock)
        scheme, _, path = broker_url.partition("://")
        nowhere = f"{scheme}://{NOBODY_LISTENS}/{path.rpartition('/')[2]}"
        self.unreachable = CeleryBrokerApp("shop", ["celery"], nowhere, clock)
        self.workers = AppWorkers(broker_url, backend_url, folder)
        self.client = client_of(broker_url, backend_url)

    def start(self) -> None:
        if WORKER not in self.workers.running:
            self.workers.start(WORKER)
        wait_until(lambda: look(self, WORKER).workers[WORKER].answer, "it is heard", timeout_s=20)

    def end(self) -> None:
        assert self.workers.stop(WORKER) == 0

    def freeze(self) -> None:
        self.workers.freeze(WORKER)

    def thaw(self) -> None:
        self.workers.thaw(WORKER)

    def send(self, count: int, seconds: float) -> None:
        for _ in range(count):
            self.client.send_task("tutorial.slow", (seconds,))

    def send_for_later(self) -> None:
        self.client.send_task("tutorial.slow", (0.0,), countdown=FAR_S)

    def pass_time(self) -> None:
        """It passes by itself."""

    def purge(self) -> None:
        self.client.control.purge()

    def close(self) -> None:
        self.workers.kill()
        self.app.close()
        self.unreachable.close()
        self.client.close()


class TestMemoryApp(AppSuite):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()


class TestAppOnRedis(AppSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def world(
        cls, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[RealWorld]:
        redis_server.flush()
        folder = tmp_path_factory.mktemp("shop")
        world = RealWorld(redis_server.url(2), redis_server.url(3), folder)
        yield world
        world.close()


class TestAppOnRabbitMq(AppSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def world(
        cls,
        rabbitmq_server: RabbitMqServer,
        redis_server: RedisServer,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[RealWorld]:
        url = rabbitmq_server.add_vhost("shop")
        world = RealWorld(url, redis_server.url(4), tmp_path_factory.mktemp("shop"))
        yield world
        world.close()
        rabbitmq_server.remove_vhost("shop")


def app_on(url: str, queue: str = "mail", **options: str) -> CeleryBrokerApp:
    return CeleryBrokerApp("shop", [queue], url, SystemClock(), options)


def test_what_a_listener_needs_is_gone_after_it(redis_server: RedisServer) -> None:
    url = redis_server.url(5)
    app = app_on(url)
    look_at(app)
    with redis.Redis.from_url(url) as client:
        assert client.keys("_kombu.binding.*")
        app.close()
        wait_until(lambda: client.keys("_kombu.binding.*") == [], "no binding is left")


def test_messages_of_every_priority_are_ready(redis_server: RedisServer) -> None:
    url = redis_server.url(6)
    client, app = client_of(url, "cache+memory://"), app_on(url)
    for priority in range(10):
        client.send_task("tutorial.add", (1, 2), queue="mail", priority=priority)
    assert look_at(app).ready == {"mail": 10}
    app.close()


def test_queues_with_a_prefix_are_found(redis_server: RedisServer) -> None:
    url = redis_server.url(7)
    client, app = client_of(url, "cache+memory://"), app_on(url, global_keyprefix="their:")
    client.conf.broker_transport_options = {"global_keyprefix": "their:"}
    client.send_task("tutorial.add", (1, 2), queue="mail")
    assert look_at(app).ready == {"mail": 1}
    app.close()


def test_what_a_killed_worker_had_fetched_is_told_while_nothing_else_waits(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    url = redis_server.url(8)
    client, app, other = client_of(url, url), app_on(url), app_on(url, queue="images")
    workers = AppWorkers(url, url, tmp_path, queues="mail")
    workers.start(WORKER)
    try:
        for _ in range(3):
            client.send_task("tutorial.slow", (1.0,), queue="mail", countdown=FAR_S)
        wait_until(lambda: look_at(app).unacked == 3, "it has fetched them")
    finally:
        workers.kill()
    view = look_at(app)
    assert (view.ready, view.unacked) == ({"mail": 0}, 3)
    assert look_at(other).unacked == 0, "those are not of its queue"
    app.close()
    other.close()


def test_workers_that_answer_in_pickle_are_told_of_and_not_read(redis_server: RedisServer) -> None:
    url = redis_server.url(9)
    app = app_on(url)
    look_at(app)
    with Connection(url) as connection, connection.Producer(serializer="pickle") as producer:
        ticket = {"ticket": "1:active"}
        listener = app._listener.name
        producer.publish(
            {WORKER: []}, exchange="reply.celery.pidbox", routing_key=listener, headers=ticket
        )

    def why() -> str:
        try:
            app.look([WORKER])
        except BacklogUnavailable as exc:
            return str(exc)
        return ""

    told = wait_until(why, "it is told")
    assert "application/x-python-serialize" in told
    assert "let its task_serializer be json" in told
    app.close()


def test_after_an_outage_of_its_broker_an_application_is_seen_again() -> None:
    with started_server(RedisServer) as server:
        app = app_on(server.url())
        look_at(app)
        server.kill()
        with pytest.raises(BacklogUnavailable, match="app pool shop could not be counted"):
            app.look([])
        server.start()

        def is_seen() -> bool:
            try:
                return app.look([]).ready == {"mail": 0}
            except BacklogUnavailable:
                return False

        wait_until(is_seen, "it is seen again", timeout_s=20)
        app.close()
