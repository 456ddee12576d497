"""Restarts of containers: those of the run, and nothing of before it."""

from __future__ import annotations

from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodStatus,
)

from loadtest.observe.pods import Restarts


def pod(name: str, restarts: int = 0, killed: str = "") -> V1Pod:
    """With one container; `killed`: why the one before it had ended."""
    ended = V1ContainerStateTerminated(exit_code=137, reason=killed) if killed else None
    status = V1ContainerStatus(
        name="worker",
        image="marea",
        image_id="",
        ready=True,
        restart_count=restarts,
        last_state=V1ContainerState(terminated=ended),
    )
    return V1Pod(metadata=V1ObjectMeta(name=name), status=V1PodStatus(container_statuses=[status]))


def test_restarts_are_not_known_before_the_api_server_has_answered() -> None:
    assert Restarts().count is None


def test_what_was_started_anew_before_the_run_is_none_of_its_restarts() -> None:
    restarts = Restarts()
    for _ in range(2):
        restarts.note([pod("images-1", restarts=2, killed="OOMKilled")])
    assert restarts.count == 0
    assert restarts.killed == {}


def test_a_container_that_is_killed_in_the_run_counts_and_its_end_is_told() -> None:
    restarts = Restarts()
    restarts.note([pod("images-1", restarts=2, killed="Error")])
    restarts.note([pod("images-1", restarts=3, killed="OOMKilled")])
    assert restarts.count == 1
    assert restarts.killed == {"images-1/worker": "OOMKilled (137)"}


def test_a_pod_that_came_in_the_run_and_is_gone_again_keeps_its_restarts() -> None:
    restarts = Restarts()
    restarts.note([pod("images-1")])
    restarts.note([pod("images-1"), pod("images-2", restarts=1, killed="OOMKilled")])
    restarts.note([pod("images-1")])
    assert restarts.count == 1
    assert restarts.killed == {"images-2/worker": "OOMKilled (137)"}


def test_a_pod_without_containers_yet_is_no_obstacle() -> None:
    restarts = Restarts()
    restarts.note([V1Pod(metadata=V1ObjectMeta(name="new"), status=V1PodStatus())])
    assert restarts.count == 0
