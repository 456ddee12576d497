"""Somebody's own Celery application in a pool, on a real Kubernetes: the application of every
tutorial, its image without anything of Marea's, its tasks sent as a web process would.

The tests build on each other, in this order.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from celery import Celery, chord
from cluster_lab import Lab
from installation import QUICK, Installation, installed, tell
from waiting import wait_until

EXAMPLE = Path(__file__).parents[2] / "k8s" / "examples" / "celery-app"
IMAGE = "marea-examples/tutorial"
POOL = "tutorial"
MOST = 3
ANSWER_LIMIT_S = 10.0
"""A burst is to be answered within 3 s (a tick is 2 s); with room for a busy machine."""
PARKED_LIMIT_S = 60.0
RESULTS_LIMIT_S = 90.0
VALUES: dict[str, Any] = {
    **QUICK,
    "autoscaler": {"mode": "builtin", "drainSeconds": 20, "idleAfterSeconds": 5},
    "pools": [
        {"name": "images"},
        {"name": "tables", "concurrency": 1, "memoryPerJob": "1536Mi"},
        {"name": "quarantine", "concurrency": 1, "memoryPerJob": "1536Mi"},
        {
            "name": POOL,
            "concurrency": 2,
            "scaling": {"maxReplicas": MOST},
            "resources": {
                "requests": {"cpu": "50m", "memory": "96Mi", "ephemeral-storage": "16Mi"},
                "limits": {"memory": "384Mi", "ephemeral-storage": "64Mi"},
            },
            "celery": {
                "image": {"repository": IMAGE, "tag": "1", "pullPolicy": "Never"},
                "app": "tutorial",
                "graceSeconds": 15,
                "silentSeconds": 8,
            },
        },
    ],
}


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # Kept for the next run: most of a build is pip's.
    lab.image(EXAMPLE, f"{IMAGE}:1", BASE="lab/python:3.13")
    with installed(lab, "apps", tmp_path_factory.mktemp("apps"), VALUES) as installation:
        yield installation


@pytest.fixture(scope="module")
def app(run: Installation) -> Iterator[Celery]:
    """As a web process has it: the two addresses of the Secret, by which it is in the cluster."""

    def address(key: str) -> str:
        url = run.secret(f"marea-app-{POOL}", key)
        host = urlsplit(url).hostname or ""
        return url.replace(host, run.address(host.partition(".")[0]))

    app = Celery("tutorial", broker=address("broker-url"), backend=address("result-backend"))
    yield app
    app.close()


def task(app: Celery, name: str, *args: Any) -> Any:
    return app.signature(f"tutorial.{name}", args)


def pods(run: Installation) -> list[dict[str, Any]]:
    """Those that are not on their way out."""
    found = run.pods("worker", marea_pool=POOL)
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def wait_until_parked(run: Installation) -> None:
    began = time.monotonic()
    wait_until(
        lambda: not run.replicas(POOL) and not pods(run),
        "no worker is left",
        timeout_s=PARKED_LIMIT_S,
        poll_s=0.5,
    )
    tell(f"{run.namespace}: parked after {time.monotonic() - began:.1f} s")


@contextmanager
def events(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """What the workers tell of their tasks while the block runs."""
    heard: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": heard.append})
        thread = threading.Thread(target=receiver.capture, kwargs={"limit": None, "timeout": None})
        thread.start()
        try:
            yield heard
        finally:
            receiver.should_stop = True
            thread.join()


def test_a_burst_gets_all_replicas_at_once_each_result_is_right_and_nothing_is_interrupted(
    run: Installation, app: Celery
) -> None:
    wait_until_parked(run)
    with events(app) as heard:
        began = time.monotonic()
        sums = [task(app, "add", number, number).delay() for number in range(20)]
        slow = [task(app, "slow", 0.5).delay() for _ in range(40)]
        # Neither has been measured yet, so each counts as ten seconds of work.
        wait_until(
            lambda: run.replicas(POOL) == MOST,
            "all are asked for",
            timeout_s=ANSWER_LIMIT_S,
            poll_s=0.1,
        )
        tell(f"{run.namespace}: {MOST} replicas after {time.monotonic() - began:.1f} s")
        # One chord while they are busy: its end waits for its parts, wherever they run.
        together = chord(task(app, "add", number, number) for number in range(10))(
            task(app, "total")
        )
        assert [each.get(timeout=RESULTS_LIMIT_S) for each in sums] == [
            2 * number for number in range(20)
        ]
        assert [each.get(timeout=RESULTS_LIMIT_S) for each in slow] == [0.5] * 40
        assert together.get(timeout=RESULTS_LIMIT_S) == 90
        tell(f"{run.namespace}: 71 results after {time.monotonic() - began:.1f} s")
        wait_until_parked(run)
    started = Counter(event["uuid"] for event in heard if event["type"] == "task-started")
    ended = Counter(event["uuid"] for event in heard if event["type"] == "task-succeeded")
    assert len(started) == 71
    assert set(started.values()) == {1}
    assert started == ended
    assert {event["type"] for event in heard} & {"task-failed", "task-retried"} == set()


def test_it_can_be_asked_why(run: Installation) -> None:
    latest = json.loads(run.marea("scaling", "explain", "--json"))
    assert latest["pools"][POOL]["limiter"] == "parked"
    history = json.loads(run.marea("scaling", "history", POOL, "--json"))["decisions"]
    assert max(entry["applied"] for entry in history) == MOST


def test_a_worker_that_stands_still_is_replaced(run: Installation, app: Celery) -> None:
    assert task(app, "add", 2, 3).delay().get(timeout=60) == 5
    (pod,) = pods(run)
    name = pod["metadata"]["name"]
    stand_still(name)
    began = time.monotonic()
    wait_until(
        lambda: name not in {each["metadata"]["name"] for each in pods(run)},
        f"{name} is replaced",
        timeout_s=60,
        poll_s=0.5,
    )
    tell(f"{run.namespace}: replaced after {time.monotonic() - began:.1f} s")
    assert task(app, "add", 3, 4).delay().get(timeout=60) == 7
    told = [event.get("note") or event.get("message", "") for event in run.objects("events")]
    assert any(text.startswith(f"Replaced {name}") for text in told), told


def stand_still(pod: str) -> None:
    """Stop every process of a pod of this machine, the first one first: it starts the others."""
    found = [process for process in psutil.process_iter() if is_of(process, pod)]
    assert found, f"no process of {pod} is on this machine"
    for process in sorted(found, key=lambda each: each.pid):
        os.kill(process.pid, signal.SIGSTOP)


def is_of(process: psutil.Process, pod: str) -> bool:
    try:
        return process.environ().get("POD_NAME") == pod
    except psutil.Error:
        return False


def test_the_role_lets_it_delete_pods_and_nothing_more(run: Installation) -> None:
    account = f"--as=system:serviceaccount:{run.namespace}:marea-autoscaler"

    def may(verb: str, what: str) -> bool:
        try:
            return run.kubectl("auth", "can-i", verb, what, account).strip() == "yes"
        except AssertionError:  # kubectl ends with 1 for no
            return False

    assert may("delete", "pods")
    assert not may("create", "pods")
    assert not may("delete", "deployments")
    assert not may("get", "secrets")
