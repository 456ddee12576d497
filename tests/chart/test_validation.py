"""The offline validation refuses what an API server refuses: its own negative controls."""

from __future__ import annotations

from typing import Any

import pytest
from validation import SCHEMAS, faults, known_kinds

VENDORED_LIMIT_BYTES = 300_000
"""Arbitrary: what a reader of the repository should not mind."""


def make_deployment(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i", **container}]},
            },
        },
    }


def make_route(**backend: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {"rules": [{"backendRefs": [{"name": "s", "port": 80, **backend}]}]},
    }


def make_monitor(**endpoint: Any) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "m"},
        "spec": {"selector": {}, "endpoints": [{"port": "http", **endpoint}]},
    }


def make_scaled_object(**spec: Any) -> dict[str, Any]:
    trigger = {"type": "metrics-api", "metadata": {"targetValue": "1"}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "o"},
        "spec": {"scaleTargetRef": {"name": "d"}, "triggers": [trigger], **spec},
    }


def test_takes_what_is_right() -> None:
    right = make_deployment(resources={"limits": {"memory": "1.5Gi", "cpu": 2}})
    for thing in (right, make_route(), make_monitor(), make_scaled_object()):
        assert faults(thing) == []


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"livenesProbe": {}}, "'livenesProbe' was unexpected"),
        ({"image": 5}, "containers[0].image: 5 is not of type 'string'"),
        ({"env": [{"name": "A", "value": 1}]}, "env[0].value: 1 is not of type 'string'"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, "env: 2 entries with name 'A'"),
        ({"env": [{"value": "1"}]}, "'name' is a required property"),
        ({"imagePullPolicy": "Ifnot"}, "'Ifnot' is not one of"),
        ({"resources": {"limits": {"memory": "64Mb"}}}, "limits.memory: '64Mb'"),
        ({"ports": [{"containerPort": "http"}]}, "containerPort: 'http' is not of type 'integer'"),
        ({"volumeMounts": None}, "volumeMounts: None is not of type 'array'"),
    ],
)
def test_refuses_a_wrong_container_and_says_where(container: dict[str, Any], told: str) -> None:
    assert any(told in fault for fault in faults(make_deployment(**container)))


@pytest.mark.parametrize(
    "thing",
    [
        make_route(prot="http"),
        make_route(port=99999),
        make_monitor(intervall="30s"),
        make_monitor(interval="30"),
        make_scaled_object(minReplicas=0),
        make_scaled_object(pollingInterval="5"),
        make_scaled_object(triggers=[{"type": "metrics-api"}]),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "%"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": 1}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "1"}},
    ],
)
def test_refuses_a_wrong_object_of_each_source(thing: dict[str, Any]) -> None:
    assert len(faults(thing)) == 1


def test_an_unknown_kind_is_a_fault_that_says_what_to_do() -> None:
    (fault,) = faults({"apiVersion": "v1", "kind": "Teapot"})
    assert fault == "v1/Teapot: no schema; add the kind to tests/chart/make_schemas.py and run it"


def test_the_vendored_schemas_are_well_formed_and_small() -> None:
    defs: dict[str, Any] = {}
    for validator in known_kinds().values():
        defs |= validator.schema["$defs"]
        own = {key: value for key, value in validator.schema.items() if key != "$defs"}
        validator.check_schema(own)
    validator.check_schema({"$defs": defs})
    assert sum(file.stat().st_size for file in SCHEMAS.iterdir()) < VENDORED_LIMIT_BYTES
