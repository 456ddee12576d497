"""`helm install` on the bundled Valkey and store, from the first result to the uninstall.

The tests build on each other, in this order: an installation takes half a minute.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

import pytest
import yaml
from cluster_lab import Lab
from installation import QUICK, Installation, installed, tell
from journey_files import journey_files
from victims import pods_deleted
from waiting import wait_until

from loadtest.demo.corpus import RULES_FILE

VALUES = {**QUICK, "rules": yaml.safe_load(RULES_FILE.read_text())}
CHANGED = {**VALUES, "notify": {"url": "http://nobody.invalid/"}}
"""Every process reads it at its start, so every one is replaced; the servers are not."""
EVERYTHING = ("gateway", "reconciler", "worker", "valkey", "store")


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(lab, "on-valkey", tmp_path_factory.mktemp("valkey"), VALUES) as installation:
        yield installation


def test_the_first_result_comes_soon_after_helm_install(run: Installation) -> None:
    run.upload(journey_files(1), 1)
    run.settle(60)
    took_s = time.monotonic() - run.installed_at
    tell(f"{run.namespace}: first result {took_s:.1f} s after helm install began")
    run.judge()


def test_helm_test_puts_a_picture_into_the_bucket_and_gets_its_result(run: Installation) -> None:
    assert "Succeeded" in run.test()


def test_the_commands_of_the_notes_work(run: Installation) -> None:
    commands = [
        line.strip()
        for line in run.notes().splitlines()
        if line.strip().startswith(("kubectl ", "helm ")) and not line.strip().endswith("&")
    ]
    assert len(commands) == 5
    for command in commands:
        run.lab.run(*shlex.split(command))


def test_pods_deleted_by_force_cost_no_upload(run: Installation) -> None:
    with (
        pods_deleted(run, seed=1, components=EVERYTHING, every_s=3.0, times=10),
        run.uploads(journey_files(2), count=500, per_s=15),
    ):
        pass
    run.settle(180)
    run.judge()


def test_upgrade_and_rollback_under_load_interrupt_no_job(run: Installation) -> None:
    before = {row.job.id for row in run.rows()}
    with run.uploads(journey_files(3), count=120, per_s=4):
        run.upgrade(CHANGED)
        run.rollback()
    run.settle(90)
    run.judge()
    interrupted = [
        row.job.id
        for row in run.rows()
        if row.job.id not in before and (row.suspects or row.attempts > 1)
    ]
    assert interrupted == []


def test_uninstall_leaves_the_volumes_and_nothing_else(run: Installation) -> None:
    run.uninstall()
    kinds = "deployments,statefulsets,jobs,pods,services,configmaps,secrets,serviceaccounts"
    more = "networkpolicies,poddisruptionbudgets,ingresses,roles,rolebindings"
    kept = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    # Pods end with the jobs that they run; everything else is gone when helm says so.
    wait_until(
        lambda: run.names(f"{kinds},{more}") == kept,
        f"only {kept} is left, besides the volumes",
        timeout_s=60,
    )
    claims = {each["metadata"]["name"] for each in run.objects("persistentvolumeclaims")}
    assert claims == {"data-marea-store-0", "data-marea-valkey-0"}


def test_a_second_install_goes_on_with_the_volumes_of_the_first(run: Installation) -> None:
    run.install(VALUES)
    run.upload(journey_files(4), 10)
    run.settle(60)
    run.judge()
