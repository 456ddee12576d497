"""What `helm install` prints: how to go on, in the words of what was chosen.

Helm prints its notes only after it has installed something; here they are the text of a
ConfigMap in a copy of the chart, rendered by the same templates.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_cluster import cluster_with
from render import CHART, Object, find, find_all, name_of, render, shapes

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
AS_OBJECT = """apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: marea, labels: {}}
data:
  text: {{ include "notes" . | toJson }}
"""


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = tmp_path_factory.mktemp("notes") / "marea"
    shutil.copytree(CHART, copied)
    text = (copied / "templates/NOTES.txt").read_text(encoding="utf-8")
    notes = '{{ define "notes" }}' + text + "{{ end }}"
    (copied / "templates/_notes.tpl").write_text(notes, encoding="utf-8")
    (copied / "templates/notes.yaml").write_text(AS_OBJECT, encoding="utf-8")
    return copied


def notes(chart: Path, values: dict[str, Any] | None = None, **options: Any) -> str:
    objects = render(values, chart=chart, show_only=["templates/notes.yaml"], **options)
    return str(find(objects, "ConfigMap", "notes")["data"]["text"])


def in_mode(mode: str, **more: Any) -> dict[str, Any]:
    return CLUSTERLESS | {"autoscaler": {"mode": mode, **more}}


@pytest.mark.parametrize("shape", shapes())
def test_every_object_that_a_command_names_is_there(chart: Path, shape: str) -> None:
    told = notes(chart, shape=shape)
    there = {f"{each['kind'].lower()}/{name_of(each)}" for each in render(shape=shape)}
    named = set(re.findall(r"\b(?:deployment|service)/[a-z0-9-]+", told))
    assert named
    assert named - there == set()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("builtin", "Marea's autoscaler sizes the pools"),
        ("keda", "KEDA, which must be in this cluster, sizes the pools"),
        ("hpa", "external metric marea_pool_replicas_wanted, which an adapter in this cluster"),
        ("none", "Nobody sizes the pools"),
    ],
)
def test_one_line_says_who_sizes_the_pools(chart: Path, mode: str, words: str) -> None:
    (line,) = [
        line
        for line in notes(chart, in_mode(mode)).splitlines()
        if f"autoscaler.mode {mode}" in line
    ]
    assert words in line


@pytest.mark.parametrize("mode", ["builtin", "keda", "hpa", "none"])
def test_where_somebody_decides_it_says_how_to_ask_why(chart: Path, mode: str) -> None:
    command = "exec deployment/marea-reconciler -- marea scaling explain"
    assert (command in notes(chart, in_mode(mode))) is (mode != "none")


def test_a_pool_that_no_hpa_would_wake_is_told_with_the_command_that_does(
    chart: Path, tmp_path: Path
) -> None:
    deployments = find_all(render(in_mode("hpa")), "Deployment")

    def told(replicas: int, values: dict[str, Any]) -> list[str]:
        parked: list[Object] = [
            each | {"spec": each["spec"] | {"replicas": replicas}}
            for each in deployments
            if name_of(each) == "marea-worker-tables"
        ]
        folder = tmp_path / str(replicas)
        folder.mkdir(exist_ok=True)
        with cluster_with(parked, folder) as cluster:
            text = notes(chart, values, cluster=cluster)
        return re.findall(r"scale deployment/(\S+) --replicas=1", text)

    assert told(0, in_mode("hpa")) == ["marea-worker-tables"]
    assert told(1, in_mode("hpa")) == []
    assert told(0, in_mode("hpa", hpa={"scaleToZero": True})) == []
    assert told(0, in_mode("builtin")) == []
    assert told(0, in_mode("keda")) == []


def test_an_autoscaler_that_is_off_is_told(chart: Path) -> None:
    warning = "WARNING: the autoscaler is off"
    assert warning in notes(chart, in_mode("builtin", replicas=0))
    assert warning not in notes(chart, in_mode("builtin"))
    assert warning not in notes(chart, in_mode("none", replicas=0))


def test_an_application_on_the_bundled_broker_is_told_how_its_web_process_sends_tasks(
    chart: Path,
) -> None:
    told = notes(chart, shape="celery-app")
    assert told.count("CELERY_BROKER_URL") == 1  # one project of two pools; the other has its own
    assert 'marea-client: "true"' in told
    assert "secretKeyRef: {name: marea-app-shop, key: broker-url}" in told
    assert "secretKeyRef: {name: marea-app-shop, key: result-backend}" in told
    assert "CELERY_BROKER_URL" not in notes(chart, CLUSTERLESS)
