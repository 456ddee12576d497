"""Sees each message come into a Redis broker, be taken, and be acknowledged, by `MONITOR`."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

OVER = "the-watch-is-over"
JOB_ID = re.compile(r'"id\\*": \\*"([^"\\]+)')
TAG = re.compile(r'"delivery_tag\\*": \\*"([^"\\]+)')


@dataclass
class BrokerWatch:
    """When what happened, in seconds since the epoch by Redis, by job id."""

    pushed_at: dict[str, float] = field(default_factory=dict)
    taken_at: dict[str, float] = field(default_factory=dict)
    acknowledged_at: dict[str, float] = field(default_factory=dict)
    _jobs: dict[str, str] = field(default_factory=dict)
    """Job id by the delivery tag, which is all that later commands name."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, at: float, command: str) -> None:
        """One command that Redis was given."""
        verb, _, words = command.partition(" ")
        with self._changed:
            if verb == "LPUSH":
                job, tag = JOB_ID.search(words), TAG.search(words)
                if job and tag:
                    self._jobs[tag[1]] = job[1]
                    self.pushed_at.setdefault(job[1], at)
            elif verb in ("HSET", "HDEL") and "unacked" in words:
                tag_word = words.split(" ")[1]
                job_id = self._jobs.get(tag_word)
                if job_id is not None:
                    times = self.taken_at if verb == "HSET" else self.acknowledged_at
                    times.setdefault(job_id, at)
                    self._changed.notify_all()

    def wait_until_acknowledged(self, count: int, timeout_s: float) -> bool:
        """Whether `count` jobs were, in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.acknowledged_at) >= count, timeout_s)


@contextmanager
def watching(url: str) -> Iterator[BrokerWatch]:
    """From now on; whatever is done to any database of that Redis."""
    seen = BrokerWatch()
    client = redis.Redis.from_url(url)
    with client, client.monitor() as monitor:

        def read() -> None:
            while True:
                told: dict[str, Any] = monitor.next_command()
                if OVER in told["command"]:
                    return
                seen.note(told["time"], told["command"])

        thread = threading.Thread(target=read, name="broker-watch", daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            client.echo(OVER)
            thread.join()
