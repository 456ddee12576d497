"""`helm install` where broker, ledger or store are somebody else's servers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_lab import Lab
from installation import QUICK, Installation, tell
from journey_files import journey_files

from loadtest.collect import StoreAddress
from loadtest.demo.corpus import RULES_FILE

SERVERS = Path(__file__).with_name("servers.yaml")
REDIS_PASSWORD = "p@ss/word: ü"
BASE = {**QUICK, "rules": yaml.safe_load(RULES_FILE.read_text())}
EXTERNAL_REDIS = {
    "broker": {
        "kind": "external",
        "external": {
            "url": "redis://someone@valkey.servers.svc:6379/2",
            "existingSecret": "their-redis",
        },
    },
    "ledger": {
        "kind": "external",
        "external": {
            "url": "redis://someone@valkey.servers.svc:6379/3",
            "existingSecret": "their-redis",
        },
    },
}


def external_store(name: str, **prepare: Any) -> dict[str, Any]:
    """Values for the MinIO that is there, with buckets of this installation's own."""
    return {
        "store": {
            "kind": "external",
            "sourceBuckets": [f"{name}-in"],
            "resultsBucket": f"{name}-out",
            "external": {
                "endpointUrl": "http://minio.servers.svc:9000",
                "existingSecret": "their-store",
                "prepare": {"enabled": True, **prepare},
            },
        }
    }


@pytest.fixture(scope="module")
def servers(lab: Lab) -> Iterator[StoreAddress]:
    lab.kubectl("apply", "--filename", str(SERVERS))
    lab.kubectl(
        *("--namespace", "servers", "wait", "pod", "--all", "--for=condition=Ready"),
        "--timeout=60s",
    )
    address = lab.kubectl(
        *("--namespace", "servers", "get", "service", "minio"),
        "--output=jsonpath={.spec.clusterIP}",
    )
    yield StoreAddress(f"http://{address}:9000", "somebody", "somebodys-password")
    lab.kubectl("delete", "namespace", "servers", "--wait=false")


@contextmanager
def installed(
    lab: Lab,
    namespace: str,
    folder: Path,
    values: Mapping[str, Any],
    store: StoreAddress | None = None,
) -> Iterator[Installation]:
    run = Installation(lab, namespace, folder, external_store=store)
    run.create_namespace()
    run.create_secret("their-redis", {"password": REDIS_PASSWORD})
    run.create_secret("their-store", {"access-key": "somebody", "secret-key": "somebodys-password"})
    run.create_secret(
        "our-gateway",
        {
            "event-token": "token-of-the-tests",
            "api-tokens": '{"ops:read": "api-token-of-the-tests"}',
        },
    )
    try:
        run.install({**BASE, **values})
        yield run
        run.uninstall()
    finally:
        run.remove()


def uploads_become_results(run: Installation) -> None:
    run.upload(journey_files(5), 25)
    run.settle(90)
    run.judge()


def test_a_store_that_sends_events_gets_its_results_before_any_sweep(
    lab: Lab, servers: StoreAddress, tmp_path: Path
) -> None:
    values = {
        **external_store("with-events", eventTargets=["PIPELINE"]),
        "broker": {"kind": "rabbitmq"},
        "gateway": {"existingSecret": "our-gateway"},
        "settings": {"reconciler": {"sweep_interval_s": 600}},
    }
    with installed(lab, "with-events", tmp_path, values, servers) as run:
        began = time.monotonic()
        uploads_become_results(run)
        tell(f"with events: all results after {time.monotonic() - began:.1f} s")
        assert "PIPELINE" in run.marea("store", "check")


def test_a_store_without_events_is_swept(lab: Lab, servers: StoreAddress, tmp_path: Path) -> None:
    values = external_store("no-events")
    with installed(lab, "no-events", tmp_path, values, servers) as run:
        uploads_become_results(run)
        assert "helm -n no-events test marea" in run.notes()
        assert "No bucket events are connected" in run.notes()


def test_nothing_of_the_chart_but_the_processes(
    lab: Lab, servers: StoreAddress, tmp_path: Path
) -> None:
    """The Redis has a user, and a password of any characters."""
    values = {**EXTERNAL_REDIS, **external_store("all-external")}
    with installed(lab, "all-external", tmp_path, values, servers) as run:
        assert run.objects("statefulsets") == []
        uploads_become_results(run)


def test_a_wrong_store_key_is_told_in_the_log_and_in_readiness(
    lab: Lab, servers: StoreAddress, tmp_path: Path
) -> None:
    run = Installation(lab, "wrong-key", tmp_path, external_store=servers)
    run.create_namespace()
    run.create_secret("their-store", {"access-key": "somebody", "secret-key": "wrong"})
    try:
        run.install(external_store("wrong-key"), wait=False)
        run.wait_for_log("reconciler", "does not accept the credentials")
        run.wait_for_log("gateway", "does not accept the credentials")
        assert "store" in run.gateway_readiness()
    finally:
        run.remove()
