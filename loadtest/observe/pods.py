"""Replicas and restarts of a release in a Kubernetes, as the API server has them."""

from __future__ import annotations

from collections.abc import Iterable

import kubernetes
from kubernetes.config import ConfigException

from loadtest.observe.look import Look, Unseen

TIMEOUT_S = 5
WORKERS = "app.kubernetes.io/component=worker"


class Restarts:
    """Containers that were started anew since the first look, and what had ended them."""

    def __init__(self) -> None:
        self.killed: dict[str, str] = {}
        """Container -> why it ended other than by itself since then, e.g. OOMKilled."""
        self._before: dict[str, int] | None = None
        self._now: dict[str, int] = {}

    @property
    def count(self) -> int | None:
        """None before the first look: nobody knows."""
        if self._before is None:
            return None
        return sum(count - self._before.get(name, 0) for name, count in self._now.items())

    def note(self, pods: Iterable[kubernetes.client.V1Pod]) -> None:
        """What the API server tells of all pods."""
        for pod in pods:
            for status in pod.status.container_statuses or []:
                self._note(f"{pod.metadata.name}/{status.name}", status)
        if self._before is None:
            self._before, self.killed = dict(self._now), {}

    def _note(self, name: str, status: kubernetes.client.V1ContainerStatus) -> None:
        known = self._now.get(name, 0)
        self._now[name] = max(known, status.restart_count)
        ends = [status.state, *([status.last_state] if status.restart_count > known else [])]
        for state in ends:
            ended = state.terminated if state else None
            if ended is not None and ended.exit_code not in (0, None):
                self.killed[name] = f"{ended.reason or 'ended'} ({ended.exit_code})"


class PodSource:
    """One namespace. Raises `Unseen` if no cluster's address and key are here."""

    name = "pods"

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        try:
            kubernetes.config.load_incluster_config()
        except ConfigException:
            try:
                kubernetes.config.load_kube_config()
            except (ConfigException, OSError) as exc:
                raise Unseen(f"no cluster is known here: {exc}") from exc
        self._apps = kubernetes.client.AppsV1Api()
        self._core = kubernetes.client.CoreV1Api()
        self.restarts = Restarts()

    def fill(self, look: Look) -> None:
        try:
            deployments = self._apps.list_namespaced_deployment(
                self._namespace, label_selector=WORKERS, _request_timeout=TIMEOUT_S
            ).items
            pods = self._core.list_namespaced_pod(self._namespace, _request_timeout=TIMEOUT_S).items
        except (kubernetes.client.ApiException, OSError) as exc:
            raise Unseen(f"the API server did not tell of {self._namespace}: {exc}") from exc
        except Exception as exc:  # urllib3's, which the client lets through
            raise Unseen(f"the API server did not answer: {type(exc).__name__}") from exc
        for each in deployments:
            pool = (each.metadata.labels or {}).get("marea/pool")
            if pool:
                look.wanted[pool] = each.spec.replicas or 0
                look.replicas[pool] = each.status.ready_replicas or 0
        self.restarts.note(pods)
