"""Redis servers and sentinels with settings of their own: users, TLS, replicas."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import redis

from marea.up.servers import HOST, ServerProcess, answers
from marea.up.tools import find_redis

DOCS = Path(__file__).parents[1] / "docs"


class RedisNode(ServerProcess):
    """A server on the lines of a configuration file; a sentinel if the first one says so.

    The file is written once: servers rewrite it when sentinels change their part in it.
    """

    name: ClassVar[str] = "redis-node"

    def __init__(self, folder: Path, lines: Sequence[str] = (), port: int | None = None) -> None:
        super().__init__(folder, port)
        self._lines = lines

    def is_ready(self) -> bool:
        if any(line.startswith("tls-port") for line in self._lines):
            return self._accepts()
        return answers(
            self.port, b"PING\r\n", lambda reply: reply.startswith((b"+PONG", b"-NOAUTH"))
        )

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True

    def _prepare(self) -> None:
        file = self.folder / "redis.conf"
        if not file.exists():
            own = [f"dir {self.folder}", f"bind {HOST}", 'save ""']
            if not any(line.startswith("tls-port") for line in self._lines):
                own.append(f"port {self.port}")
            file.write_text("\n".join([*own, *self._lines, ""]))

    def _command(self) -> list[str]:
        is_sentinel = any(line.startswith("sentinel ") for line in self._lines)
        return [
            str(find_redis()),
            str(self.folder / "redis.conf"),
            *(["--sentinel"] if is_sentinel else []),
        ]


def documented_user(password: str) -> str:
    """The line of docs/redis.md that makes the user `marea`, with this password."""
    page = (DOCS / "redis.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^user marea on PASSWORD .*$", page, re.MULTILINE)
    return line.replace("PASSWORD", f">{password}")


def make_documented_user(admin: redis.Redis, password: str) -> None:
    """On a running server; forgets what it refused so far."""
    admin.execute_command("ACL", "SETUSER", *documented_user(password).split()[1:])
    admin.acl_log_reset()


def refusals(admin: redis.Redis) -> list[str]:
    """What the server's ACL has refused since."""
    return [
        f"{entry['reason']} {entry['object']} ({entry['context']})" for entry in admin.acl_log()
    ]
