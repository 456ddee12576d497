"""The tutorial's Celery application on a Redis whose users are those that the chart makes.

The server gets the very arguments of the chart's StatefulSet, so what a worker may do here is what
it may do there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from celery import Celery
from redis_nodes import RedisNode
from waiting import wait_until

from marea.up.servers import HOST
from marea.up.tools import find_redis

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "k8s" / "examples" / "celery-app"
# The chart's own tests render it; their folder is no package.
if str(ROOT / "tests" / "chart") not in sys.path:
    sys.path.append(str(ROOT / "tests" / "chart"))

PASSWORD = "secret"
DATABASE = 2
SHOP: dict[str, Any] = {
    "name": "shop",
    "concurrency": 2,
    "celery": {
        "image": {"repository": "tutorial", "tag": "1"},
        "app": "tutorial",
        "queues": ["celery", "mail"],
        "database": DATABASE,
    },
}
OWN_POOLS: list[dict[str, Any]] = [
    {"name": "images"},
    {"name": "quarantine", "concurrency": 1, "memoryPerJob": "640Mi"},
]


def chart_users(values: Mapping[str, Any]) -> list[str]:
    """The arguments that follow the configuration file of the chart's Valkey, passwords put in.

    Skips without Helm.
    """
    from render import ToolMissing, find, render

    try:
        objects = render({"secrets": {"renderWithoutCluster": True}, **values})
    except ToolMissing as exc:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            raise
        pytest.skip(str(exc))
    server = find(objects, "StatefulSet", "marea-valkey")["spec"]["template"]["spec"]
    (container,) = server["containers"]
    words: list[str] = []
    for word in container["args"][1:]:
        is_password = word.startswith(">$(") and word.endswith(")")
        words.append(f">{PASSWORD}" if is_password else word)
    return words


class ChartsRedis(RedisNode):
    """A Redis with the chart's users, and `admin`, who may look at what they were refused."""

    name: ClassVar[str] = "charts-redis"

    def __init__(self, folder: Path, values: Mapping[str, Any]) -> None:
        super().__init__(folder)
        self._users = chart_users(values)

    def url(self, user: str, database: int = DATABASE) -> str:
        return f"redis://{user}:{PASSWORD}@{HOST}:{self.port}/{database}"

    def _command(self) -> list[str]:
        admin = ["--user", "admin", "on", f">{PASSWORD}", "~*", "&*", "+@all"]
        file = str(self.folder / "redis.conf")
        return [str(find_redis()), file, *self._users, *admin]


class AppWorker:
    """A `celery worker` of the tutorial, told its broker as the chart tells it."""

    def __init__(self, url: str, folder: Path, name: str, *more: str, queues: str) -> None:
        self.name = f"shop@{name}"
        self.log_file = folder / f"{name}.log"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "--app", "tutorial", "worker"),
                *("--hostname", self.name, "--queues", queues, "--concurrency", "2"),
                *("--task-events", "--loglevel", "INFO", *more),
            ],
            cwd=EXAMPLE,
            env={**os.environ, "CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url},
            stdout=self.log_file.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self._process.poll() is None, self.log
            return f"{self.name} ready." in self.log

        wait_until(is_ready, f"{self.name} is ready", timeout_s=30)

    def stop(self) -> int:
        """As Kubernetes does; the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def end(self) -> None:
        """At once, with its children."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def app_worker(
    url: str, folder: Path, name: str = "one", *more: str, queues: str = "celery,mail"
) -> Iterator[AppWorker]:
    """One that is ready, and gone after the block."""
    worker = AppWorker(url, folder, name, *more, queues=queues)
    try:
        worker.wait_until_ready()
        yield worker
    finally:
        worker.end()


def client_of(url: str) -> Celery:
    """What a web process of theirs has."""
    return Celery("tutorial", broker=url, backend=url)
