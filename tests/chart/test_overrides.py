"""What a user sets reaches every place that it is meant for, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from render import EXTENSIONS, Object, component_of, find, find_all, name_of, pods, render
from validation import faults

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
EVERYTHING: dict[str, Any] = CLUSTERLESS | {
    "broker": {"kind": "rabbitmq"},
    "metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
}
DIGEST = "sha256:" + "ab" * 32
OWN_IMAGES = {
    "image": (
        "gateway",
        "reconciler",
        "worker",
        "autoscaler",
        "prepare",
        "upload",
        "definitions",
    ),
    "store.bundled.image": ("store",),
    "valkey.image": ("valkey",),
    "rabbitmq.image": ("rabbitmq",),
}
LONGEST_RELEASE = "a-release-whose-name-is-as-long-as-helm-lets-it-be-53"


def nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return dict(value)


def merged(*trees: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def images(objects: list[Object]) -> dict[str, set[str]]:
    """Container name → its images."""
    found: dict[str, set[str]] = {}
    for _, pod in pods(objects):
        for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
            found.setdefault(container["name"], set()).add(container["image"])
    return found


def by_component(objects: list[Object]) -> dict[str, Object]:
    return {component_of(owner): pod for owner, pod in pods(objects)}


def test_every_container_has_an_image_that_can_be_replaced() -> None:
    names = {name for group in OWN_IMAGES.values() for name in group}
    assert images(render(EVERYTHING)).keys() == names


@pytest.mark.parametrize("block", OWN_IMAGES)
def test_an_image_by_registry_and_tag_reaches_all_its_containers(block: str) -> None:
    own = {"repository": "registry.example.org:5000/own/image", "tag": "1.2.3-own"}
    found = images(render(merged(EVERYTHING, nested(block, own))))
    changed = {name for name, used in found.items() if used == {f"{own['repository']}:1.2.3-own"}}
    assert changed == set(OWN_IMAGES[block])


@pytest.mark.parametrize("block", OWN_IMAGES)
def test_a_digest_wins_over_the_tag(block: str) -> None:
    own = {"repository": "registry.example.org/own", "tag": "1", "digest": DIGEST}
    found = images(render(merged(EVERYTHING, nested(block, own))))
    for name in OWN_IMAGES[block]:
        assert found[name] == {f"registry.example.org/own@{DIGEST}"}


def test_pull_secrets_reach_every_pod() -> None:
    objects = render(EVERYTHING | {"imagePullSecrets": [{"name": "registry"}]})
    for owner, pod in pods(objects):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}], name_of(owner)


PLACEMENT: dict[str, Any] = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "batch", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}
EXTRA: dict[str, Any] = {
    "extraEnv": [{"name": "OWN", "value": "1"}],
    "extraVolumes": [{"name": "own", "emptyDir": {"sizeLimit": "1Mi"}}],
    "extraVolumeMounts": [{"name": "own", "mountPath": "/own"}],
    "podAnnotations": {"own": "annotation"},
    "podLabels": {"own": "label"},
}
SPREAD = {
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ]
}
TAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "gateway": ("gateway", PLACEMENT | EXTRA | SPREAD),
    "reconciler": ("reconciler", PLACEMENT | EXTRA),
    "autoscaler": ("autoscaler", PLACEMENT | EXTRA),
    "worker.poolDefaults": ("worker", PLACEMENT | EXTRA | SPREAD),
    "valkey": ("valkey", PLACEMENT),
    "rabbitmq": ("rabbitmq", PLACEMENT),
    "store.bundled": ("store", PLACEMENT | {"extraEnv": EXTRA["extraEnv"]}),
}


@pytest.mark.parametrize("block", TAKES)
def test_placement_and_extras_reach_their_pods_and_no_other(block: str) -> None:
    component, own = TAKES[block]
    before = by_component(render(EVERYTHING))
    objects = render(merged(EVERYTHING, nested(block, own)))
    assert [fault for thing in objects for fault in faults(thing)] == []
    after = by_component(objects)
    assert {name for name in after if after[name] != before[name]} == {component}
    spec, metadata = after[component]["spec"], after[component]["metadata"]
    for key in own.keys() & {*PLACEMENT, *SPREAD}:
        assert spec[key] == own[key]
    container = spec["containers"][0]
    for key, place in (
        ("extraEnv", container["env"]),
        ("extraVolumes", spec["volumes"]),
        ("extraVolumeMounts", container["volumeMounts"]),
    ):
        assert all(entry in place for entry in own.get(key, ()))
    assert metadata["labels"].items() >= own.get("podLabels", {}).items()
    assert metadata["annotations"].items() >= own.get("podAnnotations", {}).items()


def test_a_pool_says_otherwise_than_the_defaults_for_itself_alone() -> None:
    own = {"name": "images", "nodeSelector": {"gpu": "yes"}}
    pool = {"concurrency": 1, "memoryPerJob": "640Mi"}
    values = {
        "pools": [own | pool, {"name": "quarantine"} | pool],
        "worker": {"poolDefaults": {"nodeSelector": {"disk": "fast"}}},
    }
    objects = render(CLUSTERLESS | values)
    chosen = {
        name: find(objects, "Deployment", f"marea-worker-{name}")["spec"]["template"]["spec"]
        for name in ("images", "quarantine")
    }
    assert chosen["images"]["nodeSelector"]["gpu"] == "yes"
    assert chosen["quarantine"]["nodeSelector"] == {"disk": "fast"}


def test_common_labels_and_annotations_are_on_every_object_and_pod() -> None:
    own = {"commonLabels": {"team": "media"}, "commonAnnotations": {"contact": "media@example.org"}}
    objects = render(EVERYTHING | own, api_versions=EXTENSIONS)
    for thing in objects:
        assert thing["metadata"]["labels"]["team"] == "media", name_of(thing)
        assert thing["metadata"]["annotations"]["contact"] == "media@example.org", name_of(thing)
    for owner, pod in pods(objects):
        assert pod["metadata"]["labels"]["team"] == "media", name_of(owner)


def test_annotations_of_one_object_stand_beside_the_common_ones_and_win() -> None:
    own = {
        "commonAnnotations": {"a": "common", "b": "common"},
        "gateway": {"service": {"annotations": {"b": "own"}}},
    }
    service = find(render(CLUSTERLESS | own), "Service", "marea-gateway")
    assert service["metadata"]["annotations"] == {"a": "common", "b": "own"}


def test_extra_objects_are_templates_whether_text_or_objects() -> None:
    as_text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text\n"
        "data:\n  bucket: {{ .Values.store.resultsBucket }}\n"
    )
    as_object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-object"},
        "data": {"fullname": '{{ include "marea.fullname" . }}'},
    }
    objects = render(CLUSTERLESS | {"extraObjects": [as_text, as_object]})
    assert find(objects, "ConfigMap", "marea-text")["data"] == {"bucket": "results"}
    assert find(objects, "ConfigMap", "marea-object")["data"] == {"fullname": "marea"}


@pytest.mark.parametrize(
    ("release", "values", "fullname"),
    [
        ("marea", {}, "marea"),
        ("prod", {}, "prod-marea"),
        ("marea-prod", {}, "marea-prod"),
        ("prod", {"nameOverride": "tide"}, "prod-tide"),
        ("prod", {"fullnameOverride": "tide"}, "tide"),
    ],
)
def test_names_begin_as_helm_users_expect(
    release: str, values: dict[str, Any], fullname: str
) -> None:
    objects = render(CLUSTERLESS | values, release=release)
    assert find(objects, "Deployment", f"{fullname}-gateway")
    assert all(name_of(thing).startswith(f"{fullname}-") for thing in objects)


@pytest.mark.parametrize("mode", ["builtin", "keda", "hpa"])
def test_the_longest_names_are_still_names(mode: str) -> None:
    pool = {"name": "p" * 18, "concurrency": 1, "memoryPerJob": "640Mi"}
    values = EVERYTHING | {
        "pools": [pool, pool | {"name": "quarantine"}],
        "autoscaler": {"mode": mode},
    }
    assert len(LONGEST_RELEASE) == 53
    for thing in render(values, release=LONGEST_RELEASE, api_versions=EXTENSIONS):
        assert faults(thing) == []
        # A StatefulSet's pods carry its name and a hash of 10 in a label.
        room = 63 - 11 if thing["kind"] == "StatefulSet" else 63
        assert len(name_of(thing)) <= room, name_of(thing)
        assert not name_of(thing).endswith("-")
        if thing["kind"] == "ScaledObject":
            # KEDA makes an object of this name, and refuses what is no label value.
            assert len(thing["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"]) <= 63


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("one", "other"),
        ("marea", "marea-2"),
        ("marea", "other-marea"),
        (LONGEST_RELEASE[:-1] + "1", LONGEST_RELEASE[:-1] + "2"),
    ],
)
def test_two_releases_in_one_namespace_share_no_name_and_no_pod(one: str, other: str) -> None:
    first, second = (render(EVERYTHING, release=name) for name in (one, other))
    names = [{(thing["kind"], name_of(thing)) for thing in each} for each in (first, second)]
    assert not names[0] & names[1]
    for owner in find_all(first, "Deployment", "StatefulSet"):
        wanted = owner["spec"]["selector"]["matchLabels"].items()
        for _, pod in pods(second):
            assert not wanted <= pod["metadata"]["labels"].items(), name_of(owner)


def test_nothing_is_named_after_a_namespace_it_is_not_in() -> None:
    objects = render(EVERYTHING, namespace="elsewhere", api_versions=EXTENSIONS)
    assert {thing["metadata"]["namespace"] for thing in objects} == {"elsewhere"}
    written = json.dumps(objects)
    assert ".elsewhere.svc" in written
    assert ".marea.svc" not in written


def test_a_service_account_can_be_ones_own() -> None:
    own = {"create": False, "name": "mine"}
    processes = ("gateway", "reconciler", "worker", "autoscaler")
    values = {name: {"serviceAccount": own} for name in processes}
    objects = render(CLUSTERLESS | values)
    assert find_all(objects, "ServiceAccount") == []
    used = {
        pod["spec"].get("serviceAccountName")
        for owner, pod in pods(objects)
        if owner["kind"] == "Deployment"
    }
    assert used == {"mine"}
    (subject,) = find(objects, "RoleBinding")["subjects"]
    assert subject["name"] == "mine"
