"""What an upgrade changes, and what it must not: restarts only where something changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from render import CHART, Object, component_of, find_all, name_of, pods, render, shapes

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
PROCESSES = {"gateway", "reconciler", "worker", "autoscaler"}
SERVERS = {"store", "valkey", "rabbitmq"}
RABBITMQ: dict[str, Any] = CLUSTERLESS | {"broker": {"kind": "rabbitmq"}}


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same chart with other versions of itself and of the platform."""
    chart = tmp_path_factory.mktemp("next") / "marea"
    shutil.copytree(CHART, chart)
    text = (chart / "Chart.yaml").read_text(encoding="utf-8")
    lines = [
        "version: 99.1.0"
        if line.startswith("version:")
        else 'appVersion: "99.2.0"'
        if line.startswith("appVersion:")
        else line
        for line in text.splitlines()
    ]
    (chart / "Chart.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return chart


def immutable_parts(objects: list[Object]) -> dict[tuple[str, str], Any]:
    """What an API server refuses to change."""
    parts: dict[tuple[str, str], Any] = {}
    for thing in find_all(objects, "Deployment", "StatefulSet"):
        spec = thing["spec"]
        keys = ["selector"]
        if thing["kind"] == "StatefulSet":
            keys += ["serviceName", "volumeClaimTemplates", "podManagementPolicy"]
        parts[thing["kind"], name_of(thing)] = {key: spec.get(key) for key in keys}
    return parts


@pytest.mark.parametrize("shape", shapes())
def test_the_next_release_changes_nothing_that_cannot_change(
    shape: str, next_release: Path
) -> None:
    now, then = render(shape=shape), render(shape=shape, chart=next_release)
    assert immutable_parts(now) == immutable_parts(then)


def test_labels_of_the_users_own_do_not_reach_what_cannot_change() -> None:
    labelled = CLUSTERLESS | {"commonLabels": {"team": "media"}}
    assert immutable_parts(render(CLUSTERLESS)) == immutable_parts(render(labelled))


def test_a_changed_job_is_another_job_and_the_same_one_stays(next_release: Path) -> None:
    def names(objects: list[Object]) -> list[str]:
        return [name_of(job) for job in find_all(objects, "Job")]

    before = names(render(CLUSTERLESS))
    assert before == names(render(CLUSTERLESS | {"gateway": {"replicas": 2}}))
    assert before != names(render(CLUSTERLESS, chart=next_release))
    assert before != names(render(CLUSTERLESS | {"store": {"sourceBuckets": ["other"]}}))
    job, other = (find_all(render(each), "Job")[0] for each in (CLUSTERLESS, RABBITMQ))
    assert job["spec"] == other["spec"]


def test_the_servers_do_not_restart_for_a_new_release(next_release: Path) -> None:
    now, then = (templates(render(RABBITMQ, chart=chart)) for chart in (CHART, next_release))
    changed = {component for component in now if now[component] != then[component]}
    # RabbitMQ's passwords are put into its definitions by the platform's own image.
    assert changed - {"rabbitmq"} == PROCESSES | {"store-prepare", "test"}


CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a rule": ({"rules": {"rules": [{"name": "a", "pipelines": ["web"]}]}}, PROCESSES),
    "a pipeline": ({"pipelines": {"pipelines": [{"name": "a", "steps": []}]}}, PROCESSES),
    "a setting": ({"settings": {"logs": {"level": "debug"}}}, PROCESSES),
    "a time limit": ({"timeLimits": {"softSeconds": 100}}, PROCESSES),
    "a bucket": ({"store": {"sourceBuckets": ["other"]}}, PROCESSES | {"store-prepare", "test"}),
    "a line of valkey.conf": ({"valkey": {"extraConfig": "io-threads 2"}}, {"valkey"}),
    "a line of rabbitmq.conf": ({"rabbitmq": {"extraConfig": "heartbeat = 30"}}, {"rabbitmq"}),
    "an environment variable": (
        {"gateway": {"extraEnv": [{"name": "A", "value": "b"}]}},
        {"gateway"},
    ),
    "a pool's bounds": (
        {"worker": {"poolDefaults": {"scaling": {"maxReplicas": 3}}}},
        {"autoscaler"},
    ),
    "a drain time": ({"autoscaler": {"drainSeconds": 30}}, {"autoscaler"}),
    "who scales": ({"autoscaler": {"mode": "hpa"}}, {"autoscaler"}),
    # The gateway has one more token to know.
    "that KEDA scales": ({"autoscaler": {"mode": "keda"}}, {"autoscaler", "gateway"}),
    "how often KEDA looks": ({"autoscaler": {"keda": {"pollingSeconds": 9}}}, set()),
    "replicas": ({"gateway": {"replicas": 3}}, set()),
    "a network": ({"networkPolicy": {"externalCidrs": ["192.0.2.0/24"]}}, set()),
    "a disruption budget": ({"gateway": {"pdb": {"enabled": False}}}, set()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_restarts_exactly_those_that_read_it(what: str) -> None:
    values, readers = CHANGES[what]
    before, after = templates(render(RABBITMQ)), templates(render(RABBITMQ | values))
    changed = {component for component in before if before[component] != after[component]}
    # A Job or a test pod runs anew anyhow.
    assert changed - {"store-prepare", "test"} == readers - {"store-prepare", "test"}


def templates(objects: list[Object]) -> dict[str, list[Object]]:
    """Component → its pods."""
    found: dict[str, list[Object]] = {}
    for owner, pod in pods(objects):
        found.setdefault(component_of(owner), []).append(pod)
    return found


def test_it_is_told_from_an_install_by_nothing() -> None:
    # A GitOps tool renders installs for ever.
    options: dict[str, Any] = {"shape": "gitops"}
    assert render(**options) == render(**options, is_upgrade=True)
