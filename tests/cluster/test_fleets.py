"""`Fleets` on the lab's API server keeps to the suite that the double in memory passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cluster_lab import Lab
from fleets_suite import FleetsSuite
from kubernetes.config import kube_config

from marea.clock import SystemClock
from marea.kube.kubernetes import KubernetesFleets

NAMESPACE = "fleets"


def deployment(pool: str, replicas: int, image: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/instance": NAMESPACE,
        "app.kubernetes.io/component": "worker",
        "marea/pool": pool,
    }
    container = {"name": "worker", "image": image, "imagePullPolicy": "Never"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"worker-{pool}", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }


class ClusterWorld:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.fleets = KubernetesFleets(NAMESPACE, SystemClock(), namespace=NAMESPACE)

    def make(self, pool: str, replicas: int) -> None:
        self.lab.apply(deployment(pool, replicas, "lab/pause:1"))

    def make_unstartable(self, pool: str, replicas: int) -> None:
        self.lab.apply(deployment(pool, replicas, "nobody/has:it"))

    def take_away(self) -> None:
        """Another port of the same host, where nobody listens."""
        for api in (self.fleets._apps, self.fleets._core):
            api.api_client.configuration.host = "https://127.0.0.1:9"
        self.fleets._election.election_config.lock.api_instance.api_client.configuration.host = (
            "https://127.0.0.1:9"
        )


@pytest.fixture(scope="module")
def namespace(lab: Lab) -> Iterator[Lab]:
    lab.kubectl("create", "namespace", NAMESPACE)
    yield lab
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class TestKubernetesFleets(FleetsSuite):
    @pytest.fixture
    def world(self, namespace: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterWorld]:
        # The client has read KUBECONFIG when it was imported.
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", namespace.up())
        yield ClusterWorld(namespace)
        namespace.kubectl(
            *("--namespace", NAMESPACE, "delete", "deployments", "--all", "--wait=true"),
            "--cascade=foreground",
        )
