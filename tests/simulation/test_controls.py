"""Negative controls: each takes one rule away, and the storm must then be seen to break a
promise. A control that goes unnoticed means that the simulation or the checker is blind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from marea.errors import ObjectGone
from marea.lifecycle import commit, duties, finish, process
from marea.lifecycle import effects as fx
from marea.messages.job import Job
from marea.storage.object_store import ALWAYS
from tests.simulation import world
from tests.simulation.world import Weather, World

SEEDS = 120
"""Every control below was noticed within the first 60 seeds when it was written."""

Patch = pytest.MonkeyPatch
Break = Callable[[Patch], None]


def _no_steps(*_arguments: Any, **_named: Any) -> fx.Steps[int]:
    return 0
    yield


def no_sweep(patch: Patch) -> None:
    def ended(sweep: Any, *_: Any) -> fx.Steps[bool]:
        sweep.ended = True
        return True
        yield

    patch.setattr(world, "sweep_pages", ended)


def source_never_compared_with_the_current(patch: Patch) -> None:
    def fetched_by_version(job: Job, max_bytes: int) -> fx.Steps[Any]:
        try:
            body = yield from fx.ask(fx.FetchSource(job.ref, max_bytes))
        except ObjectGone:
            return None
        return process._Fetched(body, is_current=True)

    patch.setattr(process, "_fetch", fetched_by_version)
    patch.setattr(commit, "is_current", lambda _head, _ref: True)


def artifacts_put_without_condition(patch: Patch) -> None:
    patch.setattr(commit, "IF_ABSENT", ALWAYS)


def records_put_without_condition(patch: Patch) -> None:
    patch.setattr(finish, "IF_ABSENT", ALWAYS)


def own_artifact_not_adopted(patch: Patch) -> None:
    patch.setattr(commit, "is_mine", lambda *_: False)


def lost_messages_not_republished(patch: Patch) -> None:
    patch.setattr(duties, "republish_lost", _no_steps)


def dead_owners_not_noticed(patch: Patch) -> None:
    patch.setattr(duties, "recover_running", _no_steps)


def cut_short_acceptance_forgotten(patch: Patch) -> None:
    patch.setattr(duties, "publish_accepted", _no_steps)


def postponed_jobs_forgotten(patch: Patch) -> None:
    patch.setattr(duties, "release_due", _no_steps)


def attempts_never_refunded(patch: Patch) -> None:
    """Trouble outside the job spends its budget: good uploads end dead."""
    original = process._postpone

    def charging(*arguments: Any, **_named: Any) -> fx.Steps[Any]:
        return original(*arguments, charged=False)

    patch.setattr(process, "_postpone", charging)


CONTROLS: dict[str, tuple[Break, Weather]] = {
    "no sweep": (no_sweep, Weather()),
    "source never compared with the current": (
        source_never_compared_with_the_current,
        Weather(keys=1),
    ),
    "artifacts put without condition": (
        artifacts_put_without_condition,
        Weather(keys=1, operations=3, bodies=5, delete=0, fault=0, lose_event=0, hurry=0.1),
    ),
    "records put without condition": (records_put_without_condition, Weather(fault=0.1)),
    "own artifact not adopted": (own_artifact_not_adopted, Weather(fault=0.1)),
    "lost messages not republished": (lost_messages_not_republished, Weather(drop_message=0.02)),
    "dead owners not noticed": (dead_owners_not_noticed, Weather(worker_crash=0.05)),
    "cut short acceptance forgotten": (cut_short_acceptance_forgotten, Weather(fault=0.1)),
    "postponed jobs forgotten": (postponed_jobs_forgotten, Weather(fault=0.1)),
    "attempts never refunded": (attempts_never_refunded, Weather(fault=0.4)),
}


@pytest.mark.parametrize(("broken", "weather"), CONTROLS.values(), ids=CONTROLS)
def test_the_storm_notices_when_a_rule_is_taken_away(
    broken: Break, weather: Weather, monkeypatch: Patch
) -> None:
    broken(monkeypatch)
    monkeypatch.setattr(world, "CALM_TURNS", 6_000)
    for seed in range(SEEDS):
        try:
            verdict = World(seed, weather).run()
        except AssertionError:
            return  # work was left open for good
        if not verdict.is_valid:
            return
    pytest.fail(f"nothing was noticed in {SEEDS} seeds")
