"""Fleets on Kubernetes: a Deployment a pool, found by its labels, sized by its scale.

Uses what a namespaced Role can grant: list Deployments and pods, patch `deployments/scale` and
pods, one Lease, create Events; for app pools, delete pods. Answers are read as plain JSON: the
client's models cost a millisecond a pod, and refuse what a newer server adds.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes
import structlog
import urllib3
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from marea.clock import Clock, from_iso
from marea.errors import ConfigError, FleetUnavailable
from marea.kube.fleets import FleetView, Listed
from marea.scaling.step import ReplicaState

log = structlog.get_logger("marea.autoscaler")

COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
POOL_LABEL = "marea/pool"
TIMEOUTS_S = (3.0, 10.0)
"""To connect, and to be answered. Below the loop's patience for a stale reading (30 s)."""
LEASE_S = 15
"""How long a leader that says nothing still is one; client-go's default."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class KubernetesFleets:
    """`Fleets` in one namespace. For one thread."""

    def __init__(self, release: str, clock: Clock, *, namespace: str = "", name: str = "") -> None:
        """`release`: the value of the label `app.kubernetes.io/instance`; `name`: of the Lease
        and the source of Events. Raises `ConfigError` where there is no cluster to be found."""
        try:
            _load_config()
        except kubernetes.config.ConfigException as exc:
            raise ConfigError(
                [f"no Kubernetes is reachable from here: {exc}; set KUBECONFIG, or run in a pod"]
            ) from exc
        self._release, self._clock = release, clock
        self._namespace = namespace or _own_namespace()
        self._name = name or f"{release}-autoscaler"
        self._apps = kubernetes.client.AppsV1Api()
        self._core = kubernetes.client.CoreV1Api()
        self._deployments: dict[str, Mapping[str, Any]] = {}
        """By pool, as last listed."""
        self._election = _election(self._name, self._namespace)

    def views(self, pools: Sequence[str]) -> Mapping[str, FleetView]:
        selector = f"app.kubernetes.io/instance={self._release},app.kubernetes.io/component=worker"
        with _translated("list the pools"):
            deployments = _items(
                self._apps.list_namespaced_deployment(
                    self._namespace, label_selector=selector, **_RAW
                )
            )
            pods = _items(
                self._core.list_namespaced_pod(self._namespace, label_selector=selector, **_RAW)
            )
        self._deployments = {_pool(each): each for each in deployments}
        return {
            pool: view_of(self._deployments[pool], [pod for pod in pods if _pool(pod) == pool])
            for pool in pools
            if pool in self._deployments
        }

    def scale(self, pool: str, replicas: int, _remove: Sequence[str] = ()) -> None:
        deployment = self._deployment(pool)
        with _translated(f"scale the pool {pool}"):
            self._apps.patch_namespaced_deployment_scale(
                deployment["metadata"]["name"],
                self._namespace,
                {"spec": {"replicas": replicas}},
                _request_timeout=TIMEOUTS_S,
            )

    def write_costs(self, costs: Mapping[str, int]) -> None:
        for name, cost in costs.items():
            annotation = str(cost) if cost else None  # null takes it off
            with _translated(f"mark the pod {name}"), _gone_is_no_error():
                self._core.patch_namespaced_pod(
                    name,
                    self._namespace,
                    {"metadata": {"annotations": {COST_ANNOTATION: annotation}}},
                    **_RAW,
                )

    def replace(self, pool: str, replica: str) -> None:
        """With the pod's own grace: what it still runs, though it says nothing, may end."""
        with _translated(f"end the pod {replica} of the pool {pool}"), _gone_is_no_error():
            self._core.delete_namespaced_pod(replica, self._namespace, **_RAW)

    def announce(self, pool: str, sentence: str) -> None:
        target = self._deployment(pool)["metadata"]
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        event = kubernetes.client.EventsV1Event(
            metadata=kubernetes.client.V1ObjectMeta(generate_name=f"{target['name']}-scaled-"),
            regarding=kubernetes.client.V1ObjectReference(
                api_version="apps/v1",
                kind="Deployment",
                name=target["name"],
                namespace=self._namespace,
                uid=target["uid"],
            ),
            event_time=now,
            reporting_controller="marea/autoscaler",
            reporting_instance=socket.gethostname(),
            action="Scale",
            reason="Scaled",
            type="Normal",
            note=sentence[:1000],  # the API's limit is 1,024 bytes
        )
        with _translated(f"tell of the pool {pool}"):
            kubernetes.client.EventsV1Api().create_namespaced_event(
                self._namespace, event, _request_timeout=TIMEOUTS_S
            )

    def is_leader(self) -> bool:
        with _translated("renew the lease"):
            return bool(self._election.try_acquire_or_renew())

    def _deployment(self, pool: str) -> Mapping[str, Any]:
        try:
            return self._deployments[pool]
        except KeyError:
            raise FleetUnavailable(f"there is no Deployment of the pool {pool} to scale") from None


def view_of(deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> FleetView:
    """From the two objects of the API as JSON."""
    spec, status = deployment["spec"], deployment.get("status", {})
    present = [pod for pod in pods if _is_present(pod)]
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    updated = int(status.get("updatedReplicas", 0))
    return FleetView(
        wanted=int(spec.get("replicas", 1)),
        replicas=tuple(sorted(map(_listed, present), key=lambda each: each.name)),
        ending=sum("deletionTimestamp" in pod["metadata"] for pod in pods),
        # Of another version: those of the status that are not updated ones. A change of the
        # template that the controller has not seen yet may be a rollout.
        rolling=not is_seen or updated < int(status.get("replicas", 0)),
    )


_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": TIMEOUTS_S}


def _items(response: Any) -> list[dict[str, Any]]:
    return list(json.loads(response.data)["items"])


def _pool(item: Mapping[str, Any]) -> str:
    return str(item["metadata"].get("labels", {}).get(POOL_LABEL, ""))


def _is_present(pod: Mapping[str, Any]) -> bool:
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return "deletionTimestamp" not in pod["metadata"] and not ended


def _listed(pod: Mapping[str, Any]) -> Listed:
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    state: ReplicaState = "pending"
    if status.get("phase") == "Running":
        state = "ready" if conditions.get("Ready") == "True" else "unready"
    cost = metadata.get("annotations", {}).get(COST_ANNOTATION, "0")
    return Listed(
        name=metadata["name"],
        state=state,
        started_at=from_iso(metadata["creationTimestamp"]),
        deletion_cost=int(cost) if cost.lstrip("+-").isdigit() else 0,
    )


def _load_config() -> None:
    """That of the pod's account, else KUBECONFIG's. The client's own choice between them prints."""
    config: Any = kubernetes.config
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        _, active = kubernetes.config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        return str(active["context"].get("namespace", "default"))


def _election(name: str, namespace: str) -> Any:
    """Of the official client, which has no types; only its single step is used, in the loop's
    own time."""
    lock: Any = LeaseLock
    config: Any = electionconfig.Config
    election: Any = leaderelection.LeaderElection
    return election(
        config(
            lock(name, namespace, socket.gethostname()),
            lease_duration=LEASE_S,
            renew_deadline=10,
            retry_period=2,
            onstarted_leading=lambda: None,
            onstopped_leading=lambda: None,
        )
    )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The client's errors as the port's, with what the server said."""
    try:
        yield
    except kubernetes.client.ApiException as exc:
        raise FleetUnavailable(f"Kubernetes did not let us {what}: {_said(exc)}") from exc
    except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError) as exc:
        raise FleetUnavailable(f"Kubernetes did not answer to {what}: {exc}") from exc


@contextmanager
def _gone_is_no_error() -> Iterator[None]:
    try:
        yield
    except kubernetes.client.ApiException as exc:
        if exc.status != 404:
            raise


def _said(exc: kubernetes.client.ApiException) -> str:
    try:
        message = json.loads(exc.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        message = exc.reason
    hint = "; its Role lacks that right" if exc.status == 403 else ""
    return f"{exc.status} {message}{hint}"
