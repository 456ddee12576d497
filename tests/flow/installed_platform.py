"""A platform as a cluster starts it: every process at once, each with its own key, and the
servers last."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from waiting import wait_until

from marea.storage.policies import PROCESSES
from marea.up.minio_server import MinioServer, webhook_environment
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer
from marea.up.servers import free_port

START_S = 120.0
"""Generous: a process imports for two seconds when the machine is idle."""
VERBS = ("gateway", "worker", "reconciler")


class InstalledPlatform:
    """Nothing runs before it is told to. Close it: that kills what runs."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder = folder
        self.store = MinioServer(folder / "minio")
        self.redis = RedisServer(folder / "redis")
        self.rabbitmq = RabbitMqServer(folder / "rabbitmq") if broker == "rabbitmq" else None
        self.port = free_port()
        self.secrets = {process: secrets.token_hex(16) for process in PROCESSES}
        self.users_folder = folder / "users"
        self.users_folder.mkdir()
        for process, secret in self.secrets.items():
            (self.users_folder / process).write_text(secret)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._token = secrets.token_hex(8)

    def start(self, verb: str) -> None:
        """A process of the platform, with the key of its own."""
        with (self.folder / f"{verb}.log").open("wb") as log:
            self._running[verb] = subprocess.Popen(
                [sys.executable, "-m", "marea", verb],
                cwd=self.folder,
                env={**_bare(), **self.environment(verb)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_store(self) -> None:
        events = f"http://127.0.0.1:{self.port}/events/s3"
        queue = self.folder / "events"
        self.store.start(env=webhook_environment(events, self._token, queue))

    def run(self, process: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`marea …` with that process's key; `root` is the store's own."""
        return subprocess.run(
            [sys.executable, "-m", "marea", *arguments],
            cwd=self.folder,
            env={**_bare(), **self.environment(process)},
            capture_output=True,
            text=True,
            timeout=START_S,
        )

    def environment(self, process: str) -> dict[str, str]:
        keys = (
            (self.store.access_key, self.store.secret_key)
            if process == "root"
            else (f"marea-{process}", self.secrets[process])
        )
        return {
            "MAREA_STORE__ENDPOINT_URL": self.store.endpoint_url,
            "MAREA_STORE__ACCESS_KEY": keys[0],
            "MAREA_STORE__SECRET_KEY": keys[1],
            "MAREA_BROKER__URL": self.rabbitmq.url() if self.rabbitmq else self.redis.url(0),
            "MAREA_LEDGER__URL": self.redis.url(1),
            "MAREA_GATEWAY__PORT": str(self.port),
            "MAREA_GATEWAY__EVENT_TOKEN": self._token,
            "MAREA_WORKER__LIVENESS_FILE": str(self.folder / "worker.alive"),
            "MAREA_RECONCILER__LIVENESS_FILE": str(self.folder / "reconciler.alive"),
        }

    def log(self, verb: str) -> str:
        return (self.folder / f"{verb}.log").read_text(encoding="utf-8", errors="replace")

    def says(self, verb: str, text: str) -> None:
        """Wait until the process's log has `text`; fails if it ends instead."""

        def is_said() -> bool:
            assert self._running[verb].poll() is None, self.log(verb)[-3000:]
            return text in self.log(verb)

        wait_until(is_said, f"{verb} says {text!r}: {self.log(verb)[-3000:]}", timeout_s=START_S)

    def asked(self, path: str) -> tuple[int, Any]:
        """The gateway's answer; status 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=15) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as exc:
            return exc.code, json.load(exc)
        except OSError:
            return 0, None

    def away(self) -> dict[str, str]:
        """The parts that /readyz calls away, with the reasons."""
        parts = (self.asked("/readyz")[1] or {"parts": {}})["parts"]
        return {name: part["reason"] for name, part in parts.items() if not part["ready"]}

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        for server in (self.store, self.redis, self.rabbitmq):
            if server is not None:
                server.kill()


def _bare() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("MAREA_")}
