"""The examples are values that the chart takes, and what they render is valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pod_security
import pytest
import yaml
from cluster_network import network_of, own_pods
from network import Pod
from render import EXTENSIONS, ROOT, find, find_all, render, shape_file, words_of
from test_objects import references
from validation import faults

EXAMPLES = ROOT / "k8s" / "examples"
APPLICATION = EXAMPLES / "argocd-application.yaml"
TUTORIAL = EXAMPLES / "celery-app"
CLIENT = TUTORIAL / "client.yaml"
FOLDERS = {*TUTORIAL.glob("*.yaml"), ROOT / "k8s/monitoring/values.yaml"}
VALUES = sorted({*EXAMPLES.glob("*.yaml"), *FOLDERS} - {APPLICATION, CLIENT})
AS_WITH_A_CLUSTER: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}


@pytest.mark.parametrize("path", VALUES, ids=lambda path: path.name)
def test_an_example_renders_valid_objects(path: Path) -> None:
    objects = render(AS_WITH_A_CLUSTER, shape=str(path), api_versions=EXTENSIONS)
    assert [fault for thing in objects for fault in faults(thing)] == []


@pytest.mark.parametrize("path", VALUES, ids=lambda path: path.name)
def test_an_example_says_how_to_make_each_secret_that_it_names(path: Path) -> None:
    text = shape_file(str(path)).read_text(encoding="utf-8")
    told = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    objects = render(AS_WITH_A_CLUSTER, shape=str(path))
    named = {name for kind, name, _ in references(objects) if kind == "Secret"}
    for name in named & words_of(str(path)):
        assert f"generic {name} " in told or name.removeprefix("s3-") in told, name


def test_the_application_needs_no_cluster_to_be_rendered() -> None:
    source = yaml.safe_load(APPLICATION.read_text(encoding="utf-8"))["spec"]["source"]
    assert (ROOT / source["path"] / "Chart.yaml").exists()
    objects = render(source["helm"]["valuesObject"], release=source["helm"]["releaseName"])
    assert [fault for thing in objects for fault in faults(thing)] == []
    assert find_all(objects, "Secret") == []


def test_every_example_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in EXAMPLES.glob("*.yaml") if f"({p.name})" not in listed] == []


def test_the_tutorials_client_may_reach_the_broker_and_finds_its_addresses() -> None:
    objects = render(AS_WITH_A_CLUSTER, shape=str(TUTORIAL / "values.yaml"))
    client = yaml.safe_load(CLIENT.read_text(encoding="utf-8"))
    assert faults(client) == []
    assert pod_security.violations(client) == []
    made = find(objects, "Secret", "marea-app-tutorial")["data"]
    asked = {(name, key) for _, name, key in references(client["spec"])}
    assert asked == {("marea-app-tutorial", key) for key in ("broker-url", "result-backend")}
    assert {key for _, key in asked} <= made.keys()
    pod = Pod("client", "marea", client["metadata"]["labels"], "10.244.9.8")
    network, own = network_of(objects), own_pods(objects)
    assert network.allows(pod, own["marea-valkey"], 6379)
    # The client runs what the workers run.
    worker = find(objects, "Deployment", "marea-worker-tutorial")["spec"]["template"]["spec"]
    images = {each["spec"]["containers"][0]["image"] for each in (client, {"spec": worker})}
    assert len(images) == 1


def test_the_tutorial_has_the_celery_that_is_tested_here() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (version,) = re.findall(r"^celery==(\S+)", lock, re.MULTILINE)
    dockerfile = (TUTORIAL / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"celery\[redis\]==([^\"\s]+)", dockerfile) == [version]
