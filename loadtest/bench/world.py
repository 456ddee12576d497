"""Real servers and real Marea processes for a benchmark, on ports and folders of their own.

Unlike `marea up` it keeps nothing alive and supervises nothing: a process that dies makes the
run fail. Redis syncs every write to disk, as `marea up` has it, for all contenders alike.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from loadtest.collect import StoreAddress, open_client
from marea.queues.names import queue_name
from marea.storage.s3_admin import S3Admin
from marea.up.minio_server import MinioServer, webhook_environment
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer
from marea.up.servers import HOST, answers_http, free_port

EVENT_TOKEN = "bench-event-token-0123456789abcdef"
API_TOKEN = "bench-api-token-0123456789abcdef"
MINIMAL = "MINIMAL"
"""Name of MinIO's webhook target for the minimal program, to compare latencies with."""
MINIMAL_KEPT = "MINIMAL_KEPT"
"""The same, with a queue on disk as Marea's has: MinIO looks into that only each 3 s."""
QUEUE = queue_name("images", "normal")
"""Where the built-in rules send a .jpg."""
READY_TIMEOUT_S = 60.0


class BenchError(RuntimeError):
    """A part of the benchmark did not start, died or gave a wrong result."""


@dataclass(frozen=True, slots=True)
class Running:
    """A child process with a log."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Raises `BenchError` if it ends before, or if it takes too long."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not condition():
            tail = "\n".join(self.log.splitlines()[-15:])
            if self.process.poll() is not None:
                raise BenchError(f"ended before {what}; {self.log_file} ends with:\n{tail}")
            if time.monotonic() > deadline:
                raise BenchError(f"still not {what}; {self.log_file} ends with:\n{tail}")
            time.sleep(0.02)

    def tree(self) -> list[psutil.Process]:
        """The process and all below it, parents first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.pid)
            return [top, *top.children(recursive=True)]
        return []

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """SIGSTOP for the whole tree, SIGCONT at the end: to fill its queue before it works."""
        stopped = self.tree()
        for each in stopped:
            each.suspend()
        try:
            yield
        finally:
            for each in stopped:
                each.resume()

    def cpu_s(self) -> float:
        """Seconds of processor time that the tree has used so far, ended children included."""
        return sum(sum(each.cpu_times()[:4]) for each in self.tree())

    def stop(self, grace_s: float = 30.0) -> None:
        """SIGTERM, then SIGKILL for the group."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL for the whole tree."""
        for each in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()


@dataclass
class World:
    """Servers, started when first asked for, and stopped by `close`."""

    folder: Path
    gateway_port: int = field(default_factory=free_port)
    minimal_port: int = field(default_factory=free_port)
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _serial: int = 0

    @cached_property
    def minio(self) -> MinioServer:
        server = MinioServer(self.folder / "minio")
        marea = webhook_environment(
            f"http://{HOST}:{self.gateway_port}/events/s3", EVENT_TOKEN, self.folder / "events"
        )
        kept = self.folder / "minimal-events"
        kept.mkdir()
        minimal_url = f"http://{HOST}:{self.minimal_port}/"
        others = {
            f"ENABLE_{MINIMAL}": "on",
            f"ENDPOINT_{MINIMAL}": minimal_url,
            f"ENABLE_{MINIMAL_KEPT}": "on",
            f"ENDPOINT_{MINIMAL_KEPT}": minimal_url,
            f"QUEUE_DIR_{MINIMAL_KEPT}": str(kept),
        }
        server.start(
            {**marea, **{f"MINIO_NOTIFY_WEBHOOK_{name}": text for name, text in others.items()}}
        )
        self._open.callback(server.kill)
        return server

    @cached_property
    def redis(self) -> RedisServer:
        server = RedisServer(self.folder / "redis").start()
        self._open.callback(server.kill)
        return server

    @cached_property
    def rabbitmq(self) -> RabbitMqServer:
        server = RabbitMqServer(self.folder / "rabbitmq").start()
        self._open.callback(server.kill)
        return server

    @property
    def store(self) -> StoreAddress:
        minio = self.minio
        return StoreAddress(minio.endpoint_url, minio.access_key, minio.secret_key)

    @cached_property
    def s3(self) -> Any:
        """A boto3 client on the MinIO."""
        return open_client(self.store)

    @cached_property
    def admin(self) -> S3Admin:
        minio = self.minio
        return S3Admin(minio.endpoint_url, minio.access_key, minio.secret_key)

    def make_buckets(self, *names: str, versioned: bool = True) -> None:
        for name in names:
            self.admin.create_bucket(name, versioned=versioned)

    def environment(
        self, source: str, results: str, *, broker: str = "redis", **more: str
    ) -> dict[str, str]:
        """`MAREA_` variables of a platform on these servers; `more` on top."""
        minio = self.minio
        variables = {
            "MAREA_STORE__ENDPOINT_URL": minio.endpoint_url,
            "MAREA_STORE__ACCESS_KEY": minio.access_key,
            "MAREA_STORE__SECRET_KEY": minio.secret_key,
            "MAREA_STORE__SOURCE_BUCKETS": f'["{source}"]',
            "MAREA_STORE__RESULTS_BUCKET": results,
            "MAREA_LEDGER__URL": self.redis.url(1),
            "MAREA_BROKER__URL": self.redis.url(0),
            "MAREA_GATEWAY__PORT": str(self.gateway_port),
            "MAREA_GATEWAY__EVENT_TOKEN": EVENT_TOKEN,
            "MAREA_GATEWAY__API_TOKENS": f'{{"bench:read+submit+admin": "{API_TOKEN}"}}',
            "MAREA_LOGS__FORMAT": "json",
        }
        if broker == "rabbitmq":
            variables["MAREA_BROKER__URL"] = self.rabbitmq.url()
            variables["MAREA_BROKER__MANAGEMENT_URL"] = self.rabbitmq.management_url
        return {**variables, **more}

    @contextmanager
    def running(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Iterator[Running]:
        """A child process with nothing but `environment` of `MAREA_` variables; stopped at the
        end."""
        self._serial += 1
        log_file = self.folder / f"{name}-{self._serial}.log"
        own = {n: text for n, text in os.environ.items() if not n.startswith("MAREA_")}
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                list(command),
                cwd=Path(__file__).parents[2],
                env={**own, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Running(process, log_file)
        try:
            yield child
        finally:
            child.stop()

    @contextmanager
    def marea(self, environment: Mapping[str, str], verb: str, *options: str) -> Iterator[Running]:
        """`marea VERB`, ready to work."""
        command = [sys.executable, "-m", "marea", verb, *options]
        with self.running(f"marea-{verb}", command, environment) as child:
            if verb == "gateway":
                port = int(environment["MAREA_GATEWAY__PORT"])
                child.wait_until(lambda: answers_http(port, "/readyz"), "the gateway is ready")
            elif verb == "worker":
                child.wait_until(lambda: '"worker starts"' in child.log, "the worker starts")
                child.wait_until(lambda: len(child.tree()) > 1, "its children run")
            yield child

    def close(self) -> None:
        self._open.close()


@contextmanager
def world() -> Iterator[World]:
    """A world in a folder of its own, which the rabbitmq user can reach, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="marea-bench-"))
    folder.chmod(0o755)
    made = World(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
