"""`helm install` on the bundled RabbitMQ: the same promises, the other broker.

The tests build on each other, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from cluster_lab import Lab
from installation import QUICK, Installation, installed
from journey_files import journey_files
from victims import pods_deleted
from waiting import wait_until

from loadtest.demo.corpus import RULES_FILE

VALUES = {
    **QUICK,
    "rules": yaml.safe_load(RULES_FILE.read_text()),
    "broker": {"kind": "rabbitmq"},
}
EVERYTHING = ("gateway", "reconciler", "worker", "valkey", "rabbitmq", "store")


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(lab, "on-rabbitmq", tmp_path_factory.mktemp("rabbitmq"), VALUES) as installation:
        yield installation


def test_helm_test_puts_a_picture_into_the_bucket_and_gets_its_result(run: Installation) -> None:
    assert "Succeeded" in run.test()


def test_pods_deleted_by_force_cost_no_upload(run: Installation) -> None:
    with (
        pods_deleted(run, seed=2, components=EVERYTHING, every_s=3.0, times=10),
        run.uploads(journey_files(7), count=500, per_s=15),
    ):
        pass
    run.settle(180)
    run.judge()


def test_the_processes_may_do_what_they_do_and_not_administer_the_broker(
    run: Installation,
) -> None:
    tags = run.kubectl(
        *("exec", "marea-rabbitmq-0", "--container=rabbitmq", "--"),
        *("rabbitmqctl", "--quiet", "--node", "rabbit@localhost", "list_users"),
    )
    assert "guest" not in tags
    assert "administrator" not in tags


def test_uninstall_leaves_the_volumes_and_nothing_else(run: Installation) -> None:
    run.uninstall()
    claims = {each["metadata"]["name"] for each in run.objects("persistentvolumeclaims")}
    assert claims == {"data-marea-store-0", "data-marea-rabbitmq-0", "data-marea-valkey-0"}
    kinds = "deployments,statefulsets,jobs,pods,services,secrets"
    wait_until(lambda: not run.names(kinds), "nothing but volumes is left", timeout_s=60)
