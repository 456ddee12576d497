"""What becomes of a release's worker pods, as the API server tells it: no word of the platform.

Each pod's coming, getting ready, exit statuses and going, with the times at which this process
heard of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import kubernetes
from kubernetes.config import new_client_from_config

WORKERS = "app.kubernetes.io/component=worker"
NOT_THERE_YET = 504
"""The API server's cache of pods has yet to see the version from which on it is asked."""
ASK_AGAIN_S = 5
"""A watch goes on where the one before it ended, so that nothing is missed between them."""


@dataclass(slots=True)
class PodLife:
    """Times are seconds since the epoch; 0.0 = it has not come to that."""

    name: str
    pool: str
    added_at: float
    ready_at: float = 0.0
    gone_at: float = 0.0
    exits: dict[str, int] = field(default_factory=dict)
    """Container -> the exit status of its last end; without one that was never seen to end."""
    restarts: int = 0

    @property
    def start_s(self) -> float:
        return self.ready_at - self.added_at


@contextmanager
def watched_pods(kubeconfig: str, namespace: str) -> Iterator[dict[str, PodLife]]:
    """The worker pods of `namespace` by name, kept up to date while the block runs."""
    api = kubernetes.client.CoreV1Api(new_client_from_config(kubeconfig))
    lives: dict[str, PodLife] = {}
    over = threading.Event()
    watch = kubernetes.watch.Watch()

    def follow() -> None:
        since = None
        while not over.is_set():
            events = watch.stream(
                api.list_namespaced_pod,
                namespace,
                label_selector=WORKERS,
                timeout_seconds=ASK_AGAIN_S,
                **({"resource_version": since} if since else {}),
            )
            try:
                for event in events:
                    note(lives, event["type"], event["raw_object"])
                since = watch.resource_version
            except kubernetes.client.ApiException as exc:
                if exc.status != NOT_THERE_YET:
                    raise
                over.wait(1.0)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield lives
    finally:
        over.set()
        thread.join(timeout=10)


def note(lives: dict[str, PodLife], kind: str, pod: dict[str, Any]) -> None:
    """Write one event of the watch into `lives`."""
    now, metadata, status = time.time(), pod["metadata"], pod.get("status", {})
    pool = metadata["labels"].get("marea/pool", "")
    life = lives.setdefault(metadata["name"], PodLife(metadata["name"], pool, now))
    ready = {each["type"]: each["status"] for each in status.get("conditions", [])}.get("Ready")
    if ready == "True" and not life.ready_at:
        life.ready_at = now
    for container in status.get("containerStatuses", []):
        life.restarts = max(life.restarts, container.get("restartCount", 0))
        if ended := container.get("state", {}).get("terminated"):
            life.exits[container["name"]] = ended["exitCode"]
    if kind == "DELETED":
        life.gone_at = now
