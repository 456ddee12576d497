"""Every object of every shape: valid, named and labelled, and fitting the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from network import selects
from render import Object, component_of, find_all, name_of, pods, words_of
from validation import faults

RECOMMENDED = {
    *(
        f"app.kubernetes.io/{key}"
        for key in ("name", "instance", "component", "part-of", "version", "managed-by")
    ),
    "helm.sh/chart",
}
CHANGING = {"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}


def test_an_api_server_takes_it(objects: list[Object]) -> None:
    assert [fault for thing in objects for fault in faults(thing)] == []


def test_no_two_objects_have_one_name(objects: list[Object]) -> None:
    seen = Counter((thing["kind"], name_of(thing)) for thing in objects)
    assert [key for key, times in seen.items() if times > 1] == []


def test_names_and_label_values_are_short_enough(objects: list[Object]) -> None:
    for thing in objects:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name_of(thing))
        for value in thing["metadata"]["labels"].values():
            assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value)


def test_it_is_in_the_releases_namespace_and_has_every_recommended_label(
    objects: list[Object],
) -> None:
    for thing in objects:
        assert thing["metadata"]["namespace"] == "marea", name_of(thing)
        assert thing["metadata"]["labels"].keys() >= RECOMMENDED, name_of(thing)


def test_selectors_hold_nothing_that_an_upgrade_changes(objects: list[Object]) -> None:
    for owner in find_all(objects, "Deployment", "StatefulSet"):
        selector = owner["spec"]["selector"]["matchLabels"]
        assert not selector.keys() & CHANGING
        assert selects(owner["spec"]["selector"], owner["spec"]["template"]["metadata"]["labels"])


def test_nobody_selects_the_pods_of_another(objects: list[Object]) -> None:
    labels = {name_of(owner): pod["metadata"]["labels"] for owner, pod in pods(objects)}
    for owner in find_all(objects, "Deployment", "StatefulSet"):
        chosen = [name for name in labels if selects(owner["spec"]["selector"], labels[name])]
        assert chosen == [name_of(owner)]


def test_a_service_a_budget_or_a_monitor_finds_pods_of_one_kind(objects: list[Object]) -> None:
    for thing in find_all(objects, "Service", "PodDisruptionBudget", "PodMonitor"):
        selector = thing["spec"]["selector"]
        selector = {"matchLabels": selector} if thing["kind"] == "Service" else selector
        found = [pod for _, pod in pods(objects) if selects(selector, pod["metadata"]["labels"])]
        assert len(found) == 1, name_of(thing)
        named = {port["name"] for port in ports_of(found[0])}
        assert set(target_ports(thing)) <= named, name_of(thing)


def test_a_service_monitor_finds_the_gateways_service(objects: list[Object]) -> None:
    for monitor in find_all(objects, "ServiceMonitor"):
        found = [
            service
            for service in find_all(objects, "Service")
            if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        ]
        assert [component_of(service) for service in found] == ["gateway"]
        named = {port["name"] for port in found[0]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= named


def test_a_route_leads_to_a_port_of_a_service(objects: list[Object]) -> None:
    services = {
        (name_of(service), port["port"])
        for service in find_all(objects, "Service")
        for port in service["spec"]["ports"]
    }
    assert set(backends(objects)) <= services


def test_what_a_pod_refers_to_exists_or_is_the_users(objects: list[Object], shape: str) -> None:
    users = words_of(shape)
    there = {
        (thing["kind"], name_of(thing), key)
        for thing in find_all(objects, "ConfigMap", "Secret")
        for key in thing.get("data") or {}
    }
    made = {(kind, name) for kind, name, _ in there}
    accounts = {name_of(thing) for thing in find_all(objects, "ServiceAccount")}
    for _, pod in pods(objects):
        assert pod["spec"].get("serviceAccountName", "default") in {"default", *accounts}
        for kind, name, key in references(pod["spec"]):
            if (kind, name) in made:
                assert key is None or (kind, name, key) in there, f"{kind} {name} has no {key}"
            else:
                assert name in users, f"nobody makes {kind} {name}"


def test_every_mount_has_its_volume_and_every_volume_a_mount(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        claims = owner["spec"].get("volumeClaimTemplates") or ()
        volumes = {volume["name"] for volume in pod["spec"].get("volumes") or ()}
        volumes |= {claim["metadata"]["name"] for claim in claims}
        mounted = {
            mount["name"]
            for kind in ("initContainers", "containers")
            for container in pod["spec"].get(kind) or ()
            for mount in container.get("volumeMounts") or ()
        }
        assert mounted == volumes, name_of(owner)


def test_nothing_but_the_test_is_a_hook(objects: list[Object]) -> None:
    # A hook that an install waits for can wait for the install.
    hooks = {
        name_of(thing): thing["metadata"]["annotations"]["helm.sh/hook"]
        for thing in objects
        if "helm.sh/hook" in thing["metadata"].get("annotations", {})
    }
    assert set(hooks.values()) <= {"test"}


def ports_of(pod: Object) -> Iterator[Object]:
    for container in pod["spec"]["containers"]:
        yield from container.get("ports") or ()


def target_ports(thing: Object) -> Iterator[str]:
    for port in thing["spec"].get("ports") or ():
        yield port["targetPort"]
    for endpoint in thing["spec"].get("podMetricsEndpoints") or ():
        yield endpoint["port"]


def backends(objects: list[Object]) -> Iterator[tuple[str, int]]:
    for ingress in find_all(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield service["name"], service["port"]["number"]
    for route in find_all(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield backend["name"], backend["port"]


def references(node: Any) -> Iterator[tuple[str, str, str | None]]:
    """Each ConfigMap and Secret that a pod's spec names, with the key where it names one."""
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    if not isinstance(node, dict):
        return
    for field, kind, naming in (
        ("configMapKeyRef", "ConfigMap", "name"),
        ("secretKeyRef", "Secret", "name"),
        ("configMap", "ConfigMap", "name"),
        (
            "secret",
            "Secret",
            "secretName" if "secretName" in (node.get("secret") or ()) else "name",
        ),
    ):
        target = node.get(field)
        if isinstance(target, dict):
            keys = [item["key"] for item in target.get("items") or ()] or [target.get("key")]
            for key in keys:
                yield kind, target[naming], key
    for value in node.values():
        yield from references(value)
