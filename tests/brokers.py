"""What the publisher and the broker contract share: brokers to try, jobs, workers, patience."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from marea.messages.job import Job, Priority
from marea.messages.objects import ObjectRef
from marea.queues.broker import Broker
from marea.queues.celery import CeleryPublisher, create_celery_app
from marea.queues.publisher import Publisher
from marea.queues.rabbitmq import RabbitMQBroker
from marea.queues.redis import RedisBroker
from marea.settings import Settings, load_settings
from marea.up.servers import inherited_environment

PUBLISH_TIMEOUT_S = 4.0
"""Long enough for two servers and three other test runs on two cores."""
POLL_S = 0.02
BROKER_URLS = {"redis": "limited_redis_url", "rabbitmq": "limited_rabbitmq_url"}
"""The fixture that has the URL of each."""


@dataclass(frozen=True)
class Kit:
    """One broker under test, from both sides. `settings` is None for the one in memory."""

    publisher: Publisher
    broker: Broker
    settings: Settings | None = None


def real_kit(url: str, **broker: Any) -> Kit:
    settings = load_settings(
        {},
        overrides={"broker": {"url": url, "publish_timeout_s": PUBLISH_TIMEOUT_S, **broker}},
    )
    adapter = RedisBroker if settings.broker.kind == "redis" else RabbitMQBroker
    return Kit(CeleryPublisher(create_celery_app(settings), settings), adapter(settings), settings)


def make_job(key: str = "photo.jpg", priority: Priority = "normal", pool: str = "images") -> Job:
    return Job(ObjectRef("uploads", key, "v1", "e1", 5), "grayscale", pool, priority)


def wait_until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """The condition's first truthy value; fails when none comes."""
    deadline = monotonic() + timeout_s
    while not (value := condition()):
        assert monotonic() < deadline, f"not within {timeout_s:g} s: {condition}"
        threading.Event().wait(POLL_S)
    return value


@dataclass
class Workers:
    """Worker processes of one test, all gone at its end."""

    settings: Settings
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, pool: str = "images", concurrency: int = 1) -> None:
        broker = self.settings.broker
        self.running[name] = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "queue_worker.py"),
                name,
                pool,
                self.folder,
            ],
            env=inherited_environment()
            | {
                "MAREA_BROKER__URL": broker.full_url,
                "MAREA_BROKER__SENTINEL_PASSWORD": broker.sentinel_password.get_secret_value(),
                "MAREA_BROKER__DELIVERY_LIMIT": str(broker.delivery_limit),
                "MAREA_WORKER__CONCURRENCY": str(concurrency),
            },
        )

    def kill(self, name: str) -> None:
        """SIGKILL of the parent and its children, as a lost node would."""
        process = self.running.pop(name)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            child.kill()
        process.wait()

    def children(self, name: str) -> set[int]:
        """Process ids of the worker's children."""
        return {child.pid for child in psutil.Process(self.running[name].pid).children()}

    def stop(self, name: str) -> int:
        """Warm shutdown; the exit status."""
        process = self.running.pop(name)
        process.terminate()
        return process.wait(30)

    def release(self) -> None:
        """Let the jobs end that block."""
        (self.folder / "release").touch()

    def started(self) -> list[tuple[str, str, bool]]:
        """(worker, key, redelivered) of each start so far, in order."""
        file = self.folder / "started"
        if not file.exists():
            return []
        rows = (line.split() for line in file.read_text().splitlines())
        return [(worker, key, redelivered == "True") for worker, key, redelivered in rows]

    def started_keys(self) -> list[str]:
        return [key for _worker, key, _redelivered in self.started()]


@contextmanager
def workers_of(kit: Kit, folder: Path) -> Iterator[Workers]:
    assert kit.settings is not None
    workers = Workers(kit.settings, folder)
    try:
        yield workers
    finally:
        for name in list(workers.running):
            workers.kill(name)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process hangs: it keeps its connections and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
