"""Every pod of every shape: as little right as possible, its share of the node, cheap probes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pod_security
import pytest
from quantities import quantity
from render import Object, component_of, find_all, name_of, pods, render

LOWEST_UID = 10_000
"""Below are users that a node may have, and that mean something there."""
SHELLS = re.compile(r"(^|/)(sh|bash|ash|dash|curl|wget)$")
STARTS_A_PROCESS_EACH = re.compile(r"inspect|celery|rabbitmq-diagnostics|rabbitmqctl|mc$")
CLUSTERLESS = {"secrets": {"renderWithoutCluster": True}}


def containers(pod: Object) -> Iterator[Object]:
    for kind in ("initContainers", "containers"):
        yield from pod["spec"].get(kind) or ()


def long_running(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    for owner, pod in pods(objects):
        if owner["kind"] in ("Deployment", "StatefulSet"):
            yield owner, pod


def is_app(pod: Object) -> bool:
    """Whether somebody's own Celery application runs in it."""
    return "marea/app" in pod["metadata"]["labels"]


def test_the_restricted_level_admits_it(objects: list[Object]) -> None:
    found = {name_of(owner): pod_security.violations(pod) for owner, pod in pods(objects)}
    assert {name: told for name, told in found.items() if told} == {}


def test_it_runs_as_a_user_that_no_node_knows(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for _, context in pod_security.contexts(pod):
            for key in ("runAsUser", "runAsGroup"):
                chosen = context.get(key, pod["spec"]["securityContext"][key])
                assert chosen >= LOWEST_UID, name_of(owner)


def test_it_cannot_write_its_own_file_system(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name_of(owner)


def test_it_asks_for_its_share_and_is_held_to_it(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for container in containers(pod):
            requests, limits = (container["resources"][key] for key in ("requests", "limits"))
            assert requests.keys() >= {"cpu", "memory", "ephemeral-storage"}, name_of(owner)
            assert limits.keys() >= {"memory", "ephemeral-storage"}, name_of(owner)
            for key in requests.keys() & limits.keys():
                assert quantity(requests[key]) <= quantity(limits[key]), (name_of(owner), key)


def test_its_scratch_is_bounded_by_what_it_may_take_of_the_node(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for volume in pod["spec"].get("volumes") or ():
            if "emptyDir" not in volume or volume["name"] == "data":
                continue
            size = quantity(volume["emptyDir"]["sizeLimit"])
            # What is in memory counts as memory.
            key = "memory" if volume["emptyDir"].get("medium") else "ephemeral-storage"
            limits = [quantity(each["resources"]["limits"][key]) for each in containers(pod)]
            assert size <= max(limits), (name_of(owner), volume["name"])


def test_what_runs_on_has_probes_that_are_cheap(objects: list[Object]) -> None:
    for owner, pod in long_running(objects):
        if is_app(pod):
            continue  # Celery answers by its broker alone: the autoscaler asks it there.
        for container in pod["spec"]["containers"]:
            assert {"livenessProbe", "startupProbe"} <= container.keys(), name_of(owner)
            for key in ("livenessProbe", "readinessProbe", "startupProbe"):
                probe = container.get(key, {})
                command = probe.get("exec", {}).get("command", [])
                assert not any(SHELLS.search(word) for word in command), name_of(owner)
                assert not any(STARTS_A_PROCESS_EACH.search(word) for word in command)
                assert probe.get("timeoutSeconds", 3) <= 10
                # A probe that may take longer than its period piles up on a busy node.
                if key == "livenessProbe":
                    assert probe["timeoutSeconds"] < probe["periodSeconds"], name_of(owner)
                    assert probe["failureThreshold"] >= 3, name_of(owner)


def test_who_is_sent_requests_says_when_it_is_ready(objects: list[Object]) -> None:
    for owner, pod in long_running(objects):
        served = component_of(owner) in {"gateway", "store", "valkey", "rabbitmq"}
        for container in pod["spec"]["containers"]:
            assert ("readinessProbe" in container) is served, name_of(owner)


def test_liveness_asks_no_other_server(objects: list[Object]) -> None:
    for _, pod in long_running(objects):
        for container in () if is_app(pod) else pod["spec"]["containers"]:
            live, ready = container["livenessProbe"], container.get("readinessProbe")
            if ready and component_of({"metadata": pod["metadata"]}) == "gateway":
                assert live["httpGet"]["path"] != ready["httpGet"]["path"]


def test_the_autoscaler_and_a_load_test_alone_have_a_token_of_the_api_server(
    objects: list[Object],
) -> None:
    for owner, pod in pods(objects):
        has_one = component_of(owner) in ("autoscaler", "loadtest")
        assert pod["spec"]["automountServiceAccountToken"] is has_one, name_of(owner)
        assert pod["spec"]["enableServiceLinks"] is False, name_of(owner)
    # Nor has a pod that somebody adds under one of these accounts.
    for account in find_all(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False, name_of(account)


def test_no_image_moves(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for container in containers(pod):
            reference = container["image"]
            assert ":" in reference.rpartition("/")[2], name_of(owner)
            assert not reference.endswith(":latest"), name_of(owner)


def test_no_shell_stands_in_front_of_a_process(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for container in containers(pod):
            words = [*container.get("command", ()), *container.get("args", ())]
            assert not any(SHELLS.search(str(word)) for word in words), name_of(owner)


def test_a_worker_has_time_for_its_longest_job(objects: list[Object], shape: str) -> None:
    hard_s = 660 if shape == "several-pools" else 150
    workers = [pod for owner, pod in pods(objects) if component_of(owner) == "worker"]
    assert workers
    for pod in workers:
        assert pod["spec"]["terminationGracePeriodSeconds"] >= hard_s + 30


@pytest.mark.parametrize("hard_s", [2, 600, 86_400])
def test_the_grace_follows_the_hard_limit(hard_s: int) -> None:
    values = CLUSTERLESS | {"timeLimits": {"softSeconds": 1, "hardSeconds": hard_s}}
    graces = {
        pod["spec"]["terminationGracePeriodSeconds"]
        for owner, pod in pods(render(values))
        if component_of(owner) == "worker"
    }
    assert graces == {hard_s + 30}


def test_a_gateway_that_stops_serves_on_for_a_while() -> None:
    values: dict[str, Any] = CLUSTERLESS | {"gateway": {"preStopSleepSeconds": 40}}
    (pod,) = (pod for owner, pod in pods(render(values)) if component_of(owner) == "gateway")
    (container,) = pod["spec"]["containers"]
    assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 40}}
    assert pod["spec"]["terminationGracePeriodSeconds"] > 40 + 10


def test_an_update_takes_nobody_away_before_the_next_is_there(objects: list[Object]) -> None:
    for owner, _ in long_running(objects):
        if component_of(owner) in {"gateway", "worker"}:
            assert owner["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
