"""A worker's side of a real broker, one message at a time: taken, acknowledged, or held by a
worker that is suddenly gone.

Built on the application and the transport options of a real worker, so on Redis kombu notes
each message under the worker's own unacked keys, as it does for Celery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kombu import Queue

from marea.queues.celery import create_celery_app
from marea.queues.names import pool_queues
from marea.queues.redis import RedisBroker
from marea.settings import Settings


class Consumer:
    """One worker process's connection. `worker` is a name never used before."""

    def __init__(self, settings: Settings, worker: str, pools: Sequence[str]) -> None:
        self._is_redis = settings.broker.kind == "redis"
        if self._is_redis:
            RedisBroker(settings).register_holder(worker)
        app = create_celery_app(settings, worker=worker, pools=pools)
        # No heartbeats: between two takes nobody would send them.
        self._connection: Any = app.connection_for_read(heartbeat=0)
        self._channel: Any = self._connection.channel()
        self._queues = [
            Queue(name, channel=self._channel)  # type: ignore[no-untyped-call]
            for pool in pools
            for name in pool_queues(pool)
        ]

    def take(self) -> Any:
        """The next kombu message, high before normal; None if there is none."""
        for queue in self._queues:
            if (message := queue.get()) is not None:  # type: ignore[no-untyped-call]
                return message
        return None

    def die(self) -> None:
        """As by SIGKILL: the socket closes, and nothing is said or given back."""
        if self._is_redis:
            self._channel.do_restore = False  # kombu's farewell, which the killed do not make
        self._connection.collect()

    def close(self) -> None:
        """An orderly end."""
        self._connection.release()


def job_text(message: Any) -> str:
    """The job's JSON, the only argument of Celery's task."""
    return str(message.payload[0][0])
