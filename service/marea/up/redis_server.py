"""An embedded Redis or Valkey: broker and ledger of one machine.

Not tuned for speed: `appendfsync always` is the default because an acknowledged publish must
survive a power cut. `everysec` is about eight times as fast for one client (measured: 18,500
instead of 2,250 LPUSH/s on a 2-core VM) and may lose the last second.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from marea.up.servers import HOST, ServerProcess, answers
from marea.up.tools import find_redis

AppendFsync = Literal["always", "everysec"]


class RedisServer(ServerProcess):
    """`redis-server` or `valkey-server` with an append-only file."""

    name: ClassVar[str] = "redis"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        appendfsync: AppendFsync = "always",
        die_with_parent: bool = True,
    ) -> None:
        super().__init__(folder, port, die_with_parent=die_with_parent)
        self._appendfsync = appendfsync

    def url(self, db: int = 0) -> str:
        """`redis://…` of database `db` (0 to 15)."""
        return f"redis://{HOST}:{self.port}/{db}"

    def flush(self) -> None:
        """Empty every database."""
        answers(self.port, b"FLUSHALL\r\n", lambda reply: reply.startswith(b"+OK"))

    def is_ready(self) -> bool:
        # While it reads its append-only file it answers -LOADING, which is not ready.
        return answers(self.port, b"PING\r\n", lambda reply: reply.startswith(b"+PONG"))

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self.folder),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "save": "",  # the append-only file is the one copy; snapshots only cost time
            "maxmemory-policy": "noeviction",  # evicting a queue or a ledger row loses work
            "timeout": "0",
            "tcp-keepalive": "60",
        }
        command = [str(find_redis())]
        for option, text in options.items():
            command += [f"--{option}", text]
        return command
