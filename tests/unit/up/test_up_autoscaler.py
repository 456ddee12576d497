"""The autoscaler of `marea up`: its settings, and the thread that it runs in."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from waiting import wait_until

from marea.errors import ConfigError
from marea.scaling.backlog import PoolTarget
from marea.settings import load_settings
from marea.up.scaling import ScalingThread, scaling_variables
from marea.wiring import build_targets

POOLS = ("images", "quarantine", "tables")


def targets(
    given: dict[str, str] | None = None, *, slots: int = 2, max_replicas: int | None = None
) -> dict[str, PoolTarget]:
    """What the pools of `marea up` are sized by, for somebody who has set the `given`."""
    environment = given or {}
    ours = scaling_variables(
        load_settings(environment).autoscaler, POOLS, slots=slots, max_replicas=max_replicas
    )
    return build_targets(load_settings({**environment, **ours}), POOLS)


def test_a_pool_has_one_replica_always_and_two_at_most() -> None:
    images = targets(slots=3)["images"]
    assert (images.min_replicas, images.max_replicas, images.slots) == (1, 2, 3)


def test_the_quarantine_runs_one_job_at_a_time_and_nothing_while_it_is_empty() -> None:
    quarantine = targets(slots=8, max_replicas=8)["quarantine"]
    assert (quarantine.min_replicas, quarantine.max_replicas, quarantine.slots) == (0, 1, 1)


def test_the_option_counts_before_the_variable_and_the_variable_before_the_default() -> None:
    variable = {"MAREA_AUTOSCALER__MAX_REPLICAS": "5"}
    assert targets(variable)["images"].max_replicas == 5
    assert targets(variable, max_replicas=1)["images"].max_replicas == 1


def test_what_was_said_of_a_pool_stays_and_the_rest_is_ours() -> None:
    given = {"MAREA_AUTOSCALER__POOLS": '{"images": {"min_replicas": 0, "drain_s": 5}}'}
    found = targets(given)
    assert (found["images"].min_replicas, found["images"].drain_s) == (0, 5.0)
    assert found["images"].max_replicas == 2
    assert found["tables"].min_replicas == 1


def test_a_pool_that_nobody_has_is_named() -> None:
    with pytest.raises(ConfigError, match="names the pool 'imagse'; there are images, "):
        targets({"MAREA_AUTOSCALER__POOLS": '{"imagse": {"max_replicas": 3}}'})


def test_a_mode_that_needs_a_cluster_is_not_taken_over() -> None:
    given = load_settings({"MAREA_AUTOSCALER__MODE": "keda"}).autoscaler
    ours: dict[str, Any] = scaling_variables(given, POOLS, slots=2, max_replicas=None)
    assert ours["MAREA_AUTOSCALER__MODE"] == "builtin"


class Scaler:
    """Runs until told to stop, or fails at once."""

    def __init__(self, failure: str = "") -> None:
        self.failure = failure
        self.runs, self.ended = threading.Event(), threading.Event()

    def run(self, stop: threading.Event) -> None:
        if self.failure:
            raise RuntimeError(self.failure)
        self.runs.set()
        stop.wait()
        self.ended.set()


def test_an_autoscaler_that_fails_is_told_of_and_run_again() -> None:
    broken, sound = Scaler("out of luck"), Scaler()
    scalers, said = [broken, sound], list[str]()
    thread = ScalingThread(lambda: scalers.pop(0), said.append, pause_s=0.05)

    def is_back() -> bool:
        thread.look()
        return sound.runs.is_set()

    wait_until(is_back, "the second one runs")
    assert said == [
        "the autoscaler failed: RuntimeError: out of luck; pools stay as they are for now"
    ]
    thread.stop()


def test_one_that_cannot_be_built_is_told_of_too() -> None:
    def build() -> Scaler:
        raise ConfigError(["no such ledger"])

    said = list[str]()
    thread = ScalingThread(build, said.append)

    def is_told() -> bool:
        thread.look()
        return bool(said)

    wait_until(is_told, "the failure is told")
    assert "no such ledger" in said[0]
    for _ in range(3):
        thread.look()
    assert len(said) == 1, "it is not tried without a pause"


def test_a_stopped_one_has_ended_and_is_not_run_again() -> None:
    scaler = Scaler()
    scalers = [scaler]
    thread = ScalingThread(lambda: scalers.pop(0), pytest.fail)
    thread.look()
    assert scaler.runs.wait(10.0)
    thread.stop()
    assert scaler.ended.is_set()
    thread.look()
