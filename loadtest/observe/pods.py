"""Replicas and restarts of a release in a Kubernetes, as the API server has them."""

from __future__ import annotations

from typing import Any

import kubernetes
from kubernetes.config import ConfigException

from loadtest.observe.look import Look, Unseen

TIMEOUT_S = 5
WORKERS = "app.kubernetes.io/component=worker"


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
        self.restarts = 0
        """Of all pods' containers that were seen."""
        self.killed: dict[str, str] = {}
        """Container -> why it ended other than by itself, e.g. OOMKilled."""
        self._restarts: dict[str, int] = {}

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
        for pod in pods:
            self._note(pod)

    def _note(self, pod: Any) -> None:
        for status in pod.status.container_statuses or []:
            name = f"{pod.metadata.name}/{status.name}"
            self._restarts[name] = max(self._restarts.get(name, 0), status.restart_count)
            for state in (status.state, status.last_state):
                ended = state.terminated if state else None
                if ended is not None and ended.exit_code not in (0, None):
                    self.killed[name] = f"{ended.reason or 'ended'} ({ended.exit_code})"
        self.restarts = sum(self._restarts.values())
