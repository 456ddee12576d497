"""Pools sized by the autoscaler on a real Kubernetes: from none to all at a burst, and back.

The tests build on each other, in this order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import yaml
from cluster_lab import Lab
from installation import QUICK, Installation, installed, tell
from journey_files import journey_files
from waiting import wait_until

from loadtest.demo.corpus import RULES_FILE

MOST = 4
ANSWER_LIMIT_S = 10.0
"""A burst is to be answered within 3 s (a tick is 2 s); with room for a busy machine."""
PARKED_LIMIT_S = 90.0
VALUES = {
    **QUICK,
    "rules": yaml.safe_load(RULES_FILE.read_text()),
    "autoscaler": {"mode": "builtin", "drainSeconds": 20, "idleAfterSeconds": 5},
    "worker": {"poolDefaults": {"scaling": {"maxReplicas": MOST}}},
}


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(lab, "scaled", tmp_path_factory.mktemp("scaled"), VALUES) as installation:
        yield installation


def wait_until_parked(run: Installation) -> None:
    def is_parked() -> bool:
        pods = run.pods("worker")
        return not pods and not any(run.replicas(pool) for pool in ("images", "tables"))

    began = time.monotonic()
    wait_until(is_parked, "no worker is left", timeout_s=PARKED_LIMIT_S, poll_s=0.5)
    tell(f"{run.namespace}: parked after {time.monotonic() - began:.1f} s")


def test_pools_without_work_are_parked(run: Installation) -> None:
    wait_until_parked(run)


def test_a_burst_gets_all_replicas_at_once_and_loses_and_interrupts_nothing(
    run: Installation,
) -> None:
    began = time.monotonic()
    # None of these pipelines has been measured yet, so each job counts as ten seconds of work.
    with run.uploads(journey_files(1), count=150, per_s=1000):
        wait_until(
            lambda: run.replicas("images") == MOST, "all are asked for", timeout_s=ANSWER_LIMIT_S
        )
        tell(f"{run.namespace}: {MOST} replicas after {time.monotonic() - began:.1f} s")
    run.settle(120)
    wait_until_parked(run)
    run.judge()
    interrupted = [row.job.id for row in run.rows() if row.suspects or row.attempts > 1]
    assert interrupted == []


def test_it_can_be_asked_why(run: Installation) -> None:
    latest = json.loads(run.marea("scaling", "explain", "--json"))
    assert latest["pools"]["images"]["limiter"] == "parked"
    assert latest["age_s"] < 10
    history = json.loads(run.marea("scaling", "history", "images", "--json"))["decisions"]
    assert max(entry["applied"] for entry in history) == MOST
    assert all(entry["reason"] for entry in history)
    status = json.loads(run.marea("status", "--json"))
    assert set(status["scaling"]["pools"]) == {"images", "tables", "quarantine"}
    told = [
        event["note"] if "note" in event else event["message"]
        for event in run.objects("events")
        if event["reason"] == "Scaled"
    ]
    assert any(text.startswith(f"Scaled from 0 to {MOST}: ") for text in told), told


def test_a_pool_held_by_a_dead_broker_keeps_its_workers(run: Installation) -> None:
    run.upload(journey_files(7), 3)
    wait_until(lambda: run.replicas("images") > 0, "there is a worker", timeout_s=30)
    run.settle(60)
    run.kubectl("scale", "statefulset/marea-valkey", "--replicas=0")
    run.wait_for_log("autoscaler", "pools are held")
    held = run.replicas("images")
    began = time.monotonic()
    while time.monotonic() - began < 10:  # twice the time after which an idle pool is parked
        assert run.replicas("images") == held
        time.sleep(1)
    run.kubectl("scale", "statefulset/marea-valkey", "--replicas=1")
    wait_until_parked(run)


def test_the_role_allows_what_sizing_takes_and_nothing_else(run: Installation) -> None:
    account = f"--as=system:serviceaccount:{run.namespace}:marea-autoscaler"

    def may(verb: str, what: str, *more: str) -> bool:
        try:
            return run.kubectl("auth", "can-i", verb, what, account, *more).strip() == "yes"
        except AssertionError:  # kubectl ends with 1 for no
            return False

    assert may("list", "pods")
    assert may("patch", "deployments/marea-worker-images", "--subresource=scale")
    assert not may("patch", "deployments/marea-gateway", "--subresource=scale")
    assert not may("patch", "deployments/marea-worker-images")
    assert not may("delete", "pods")
    assert not may("get", "secrets")
    assert not may("list", "pods", "--namespace=kube-system")
