"""The autoscaler of `marea up`: what its settings are, and the thread that it runs in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Protocol

import structlog

from marea.errors import ConfigError
from marea.queues.names import QUARANTINE_POOL
from marea.settings_scaling import AutoscalerSettings

log = structlog.get_logger("marea.up")

MAX_REPLICAS = 2
"""Worker processes per pool, unless told otherwise: a small machine has two cores."""
RESTART_PAUSE_S = 5.0
"""Before an autoscaler that failed is started again; arbitrary, a few of its rounds."""
STOP_S = 5.0
"""How long the end of its round is waited for: one question to each server, with their timeouts.
It cannot scale any more by then, and ends with the process."""

Say = Callable[[str], None]


class Scaler(Protocol):
    """The autoscaler, as far as a thread is concerned."""

    def run(self, stop: threading.Event) -> None: ...


def scaling_variables(
    given: AutoscalerSettings, pools: Sequence[str], *, slots: int, max_replicas: int | None
) -> dict[str, str]:
    """What `marea up` says of each pool, on top of which comes what the user gave for it.

    A pool keeps one replica, so that an upload is not kept waiting for a start; the quarantine
    keeps none, and never has two. Raises `ConfigError` for a pool that is not among `pools`.
    """
    if unknown := [pool for pool in given.pools if pool not in pools]:
        raise ConfigError(
            [
                f"MAREA_AUTOSCALER__POOLS: no rule and no pipeline names the pool {pool!r}; there"
                f" are {', '.join(pools)}"
                for pool in unknown
            ]
        )
    if max_replicas is None:
        is_given = "max_replicas" in given.model_fields_set
        max_replicas = given.max_replicas if is_given else MAX_REPLICAS
    by_pool: dict[str, dict[str, Any]] = {pool: {"min_replicas": 1} for pool in pools}
    by_pool[QUARANTINE_POOL] = {"min_replicas": 0, "max_replicas": 1}
    for pool, own in given.pools.items():
        by_pool[pool] |= own.model_dump(mode="json", exclude_unset=True)
    return {
        # The other modes need a Kubernetes.
        "MAREA_AUTOSCALER__MODE": "builtin",
        "MAREA_AUTOSCALER__SLOTS": str(slots),
        "MAREA_AUTOSCALER__MAX_REPLICAS": str(max_replicas),
        "MAREA_AUTOSCALER__POOLS": json.dumps(by_pool),
    }


class ScalingThread:
    """Runs an autoscaler until told to stop. One that fails is told of and run again."""

    def __init__(
        self, build: Callable[[], Scaler], say: Say, pause_s: float = RESTART_PAUSE_S
    ) -> None:
        self._build, self._say, self._pause_s = build, say, pause_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure = ""
        self._due_at = 0.0

    def look(self) -> None:
        """Start it if it does not run; after a pause if it failed."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._failure:
            self._say(f"the autoscaler failed: {self._failure}; pools stay as they are for now")
            self._failure = ""
            self._due_at = monotonic() + self._pause_s
        if monotonic() >= self._due_at and not self._stop.is_set():
            # Daemon: `marea up` must end though a server does not answer.
            self._thread = threading.Thread(target=self._run, name="autoscaler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """No round begins from now on; the one under way is waited for a little."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            self._build().run(self._stop)
        except Exception as exc:  # a thread's death would not be seen
            log.exception("autoscaler failed")
            self._failure = f"{type(exc).__name__}: {exc}"
