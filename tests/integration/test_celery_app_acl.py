"""Somebody's own Celery application as the user that the chart makes for it on the bundled Valkey.

The user's rights are taken from the rendered chart, word for word, and a real worker works under
them: what a task, a chord or a remote command needs and the rights leave out is in the server's
own log of refusals.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chord, group
from celery.result import GroupResult
from celery_app import (
    DATABASE,
    OWN_POOLS,
    PASSWORD,
    SHOP,
    AppWorker,
    ChartsRedis,
    app_worker,
    client_of,
)
from redis_nodes import refusals
from servers import server_folder
from waiting import wait_until

from marea.apps.celery import CeleryBrokerApp
from marea.clock import SystemClock
from marea.errors import BacklogUnavailable

LIMIT_S = 15


@pytest.fixture(scope="module")
def server() -> Iterator[ChartsRedis]:
    with server_folder("redis") as folder:
        node = ChartsRedis(folder / "node", {"pools": [*OWN_POOLS, SHOP]})
        try:
            yield node.start()
        finally:
            node.kill()


@pytest.fixture
def admin(server: ChartsRedis) -> Iterator[redis.Redis]:
    """Who may look; at the end of a test nothing may have been refused."""
    with redis.Redis.from_url(server.url("admin")) as admin:
        admin.flushall()
        admin.acl_log_reset()
        yield admin
        assert refusals(admin) == []


@pytest.fixture
def app(server: ChartsRedis, admin: redis.Redis) -> Celery:
    return client_of(server.url("app-shop"))


@pytest.fixture
def worker(server: ChartsRedis, admin: redis.Redis, tmp_path: Path) -> Iterator[AppWorker]:
    with app_worker(server.url("app-shop"), tmp_path) as worker:
        yield worker


def task(app: Celery, name: str, *args: Any) -> Any:
    return app.signature(f"tutorial.{name}", args)


def test_tasks_and_their_results(app: Celery, worker: AppWorker) -> None:
    assert task(app, "add", 2, 3).delay().get(timeout=LIMIT_S) == 5
    asked: list[dict[str, Any]] = [
        {"queue": "mail"},
        {"priority": 6},
        {"countdown": 0.5},
        {"expires": 60},
        {"queue": "mail", "priority": 3},
    ]
    for options in asked:
        result = task(app, "add", 2, 3).apply_async(**options)
        assert result.get(timeout=LIMIT_S) == 5, options
    result.forget()


def test_groups_and_chords(app: Celery, worker: AppWorker) -> None:
    parts = [task(app, "add", number, number) for number in range(10)]
    assert chord(parts)(task(app, "total")).get(timeout=LIMIT_S) == 90
    together = group(parts)()
    together.save()
    assert together.get(timeout=LIMIT_S) == [2 * number for number in range(10)]
    restored = GroupResult.restore(together.id, app=app)
    assert restored is not None
    restored.forget()
    restored.delete()


def test_remote_control_and_events(app: Celery, worker: AppWorker) -> None:
    heard: list[str] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(
            connection, handlers={"*": lambda event: heard.append(event["type"])}
        )
        thread = threading.Thread(target=receiver.capture, kwargs={"limit": None, "timeout": None})
        thread.start()
        try:
            wait_until(lambda: "worker-heartbeat" in heard, "a heartbeat", timeout_s=LIMIT_S)
            task(app, "add", 1, 1).delay().get(timeout=LIMIT_S)
            wait_until(lambda: "task-succeeded" in heard, "a task's end", timeout_s=LIMIT_S)
        finally:
            receiver.should_stop = True
            thread.join()
    control, here = app.control, {"destination": [worker.name], "timeout": 5.0}
    inspect = control.inspect(**here, limit=1)
    for question in ("ping", "active", "reserved", "scheduled", "active_queues", "stats"):
        assert getattr(inspect, question)().keys() == {worker.name}, question
    assert control.cancel_consumer("mail", reply=True, limit=1, **here)
    assert [each["name"] for each in inspect.active_queues()[worker.name]] == ["celery"]
    assert control.add_consumer("mail", reply=True, limit=1, **here)
    assert task(app, "add", 1, 1).apply_async(queue="mail").get(timeout=LIMIT_S) == 2


def test_the_autoscaler_sees_and_pauses_the_worker_as_that_user(
    server: ChartsRedis, app: Celery, worker: AppWorker
) -> None:
    seen = CeleryBrokerApp("shop", ["celery", "mail"], server.url("app-shop"), SystemClock())

    def queues() -> frozenset[str] | None:
        try:
            answer = seen.look([worker.name]).workers[worker.name].answer
        except BacklogUnavailable:  # it has only just begun to listen
            return None
        return None if answer is None else answer.queues

    try:
        wait_until(lambda: queues() == {"celery", "mail"}, "an answer", timeout_s=LIMIT_S)
        task(app, "add", 1, 1).delay().get(timeout=LIMIT_S)
        wait_until(lambda: seen.look([worker.name]).took, "a task's events", timeout_s=LIMIT_S)
        seen.pause([worker.name])
        wait_until(lambda: queues() == set(), "paused", timeout_s=LIMIT_S)
        task(app, "add", 1, 1).apply_async(queue="mail", priority=6)
        # A fetch that was under way when the worker was told gives back what it got.
        waits = {"celery": 0, "mail": 1}
        wait_until(lambda: seen.look([worker.name]).ready == waits, "it waits", timeout_s=LIMIT_S)
        seen.resume([worker.name])
        wait_until(lambda: queues() == {"celery", "mail"}, "resumed", timeout_s=LIMIT_S)
    finally:
        seen.close()


def test_a_worker_that_is_told_to_end_gives_back_what_it_has_not_begun(
    app: Celery, admin: redis.Redis, worker: AppWorker
) -> None:
    results = [task(app, "slow", 1).delay() for _ in range(6)]
    wait_until(lambda: admin.hlen("unacked") == 4, "the prefetched ones", timeout_s=LIMIT_S)
    assert worker.stop() == 0
    assert [result.get(timeout=1) for result in results[:2]] == [1, 1]
    assert admin.llen("celery") == 4
    assert app.control.purge() == 4


def test_what_a_killed_worker_held_is_given_back_by_another(
    server: ChartsRedis, app: Celery, admin: redis.Redis, worker: AppWorker
) -> None:
    for _ in range(6):
        task(app, "slow", 60).delay()
    wait_until(lambda: admin.hlen("unacked") == 4, "the prefetched ones", timeout_s=LIMIT_S)
    worker.end()
    # What each worker does now and then, with no patience at all.
    with app.connection(transport_options={"visibility_timeout": 0}) as connection:
        connection.default_channel.qos.restore_visible()
    assert admin.llen("celery") == 4


@pytest.mark.parametrize(
    "command",
    [
        "LPUSH images.normal 1",
        "LLEN images.high",
        "GET marea:anything",
        "HGETALL marea:unacked",
        "LPUSH somebody-elses 1",
        "LPUSH celery-of-another 1",
        "LPUSH celeryab3 1",
        "PUBLISH marea:jobs 1",
        "PUBLISH /0.celery.pidbox 1",
        "PUBLISH /3.celery.pidbox 1",
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "CONFIG GET *",
        "ACL LIST",
        "CLIENT LIST",
        "MONITOR",
        "SCRIPT FLUSH",
        "SHUTDOWN NOSAVE",
    ],
)
def test_that_user_can_neither_rule_the_server_nor_touch_what_is_mareas(
    server: ChartsRedis, command: str
) -> None:
    with redis.Redis.from_url(server.url("app-shop")) as client:
        for database in (0, 1, DATABASE):
            client.execute_command("SELECT", database)
            with pytest.raises(redis.ResponseError, match="permissions"):
                client.execute_command(*command.split())


def test_nor_do_marea_s_processes_touch_what_is_the_applications(server: ChartsRedis) -> None:
    with (
        redis.Redis.from_url(f"redis://marea:{PASSWORD}@127.0.0.1:{server.port}/2") as client,
        pytest.raises(redis.ResponseError, match="permissions"),
    ):
        client.llen("celery")
