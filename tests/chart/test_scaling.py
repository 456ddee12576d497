"""Who sets the pools' replicas, in each mode: one owner, with no more rights than it uses."""

from __future__ import annotations

from typing import Any

import pytest
from render import Object, component_of, find, find_all, name_of, pods, render

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
LOOKS = [
    (["apps"], ["deployments"], ["list"], None),
    ([""], ["pods"], ["list"], None),
    (["coordination.k8s.io"], ["leases"], ["create"], None),
    (["coordination.k8s.io"], ["leases"], ["get", "update"], ["marea-autoscaler"]),
]
"""Group, kind, verbs, names. A new Lease cannot be granted by its name."""
POOLS = ("images", "tables", "quarantine")
SCALES = [
    (["apps"], ["deployments/scale"], ["patch"], [f"marea-worker-{pool}" for pool in POOLS]),
    ([""], ["pods"], ["patch"], None),
    (["events.k8s.io"], ["events"], ["create"], None),
]


def in_mode(mode: str, **values: Any) -> list[Object]:
    return render(CLUSTERLESS | {"autoscaler": {"mode": mode}} | values)


def granted(objects: list[Object]) -> list[tuple[Any, ...]]:
    return [
        (rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames"))
        for rule in find(objects, "Role")["rules"]
    ]


def worker_replicas(objects: list[Object]) -> dict[str, Any]:
    return {
        name_of(owner).removeprefix("marea-worker-"): owner["spec"].get("replicas", "not set")
        for owner, _ in pods(objects)
        if component_of(owner) == "worker"
    }


def test_the_autoscaler_may_do_what_it_does_and_nothing_else() -> None:
    assert granted(in_mode("builtin")) == LOOKS + SCALES


@pytest.mark.parametrize("mode", ["keda", "hpa"])
def test_where_somebody_else_scales_it_may_look_and_no_more(mode: str) -> None:
    objects = in_mode(mode)
    assert granted(objects) == LOOKS


def test_no_right_reaches_beyond_the_namespace_or_has_another_owner(objects: list[Object]) -> None:
    assert find_all(objects, "ClusterRole", "ClusterRoleBinding") == []
    for binding in find_all(objects, "RoleBinding"):
        assert binding["roleRef"]["kind"] == "Role"
        role = find(objects, "Role", binding["roleRef"]["name"])
        (subject,) = binding["subjects"]
        (owned,) = (
            pod for owner, pod in pods(objects) if component_of(owner) == component_of(role)
        )
        assert subject["namespace"] == "marea"
        assert subject["name"] == owned["spec"]["serviceAccountName"]


def test_rights_can_be_given_by_somebody_else() -> None:
    objects = render(CLUSTERLESS | {"autoscaler": {"rbac": {"create": False}}})
    assert find_all(objects, "Role", "RoleBinding") == []
    assert find(objects, "Deployment", "marea-autoscaler")


def test_where_nobody_scales_there_is_no_autoscaler_and_nothing_of_it() -> None:
    objects = in_mode("none")
    assert [name_of(each) for each in objects if component_of(each) == "autoscaler"] == []


@pytest.mark.parametrize("mode", ["builtin", "keda", "hpa"])
def test_a_pool_that_is_sized_has_no_number_of_replicas(mode: str) -> None:
    # With one, each upgrade would set the pool back to it.
    assert worker_replicas(in_mode(mode)) == dict.fromkeys(POOLS, "not set")


def test_a_pool_that_nobody_sizes_has_the_number_of_its_values_or_somebody_elses() -> None:
    assert worker_replicas(render(shape="fixed-pools")) == {
        "images": 3,
        "tables": "not set",
        "archive": 0,
        "quarantine": 1,
    }
    assert worker_replicas(in_mode("none")) == dict.fromkeys(POOLS, 1)
    defaults = {"poolDefaults": {"replicas": 2}}
    assert worker_replicas(in_mode("none", worker=defaults)) == dict.fromkeys(POOLS, 2)
