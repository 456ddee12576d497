"""What the liveness probe takes for dead, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marea.worker.liveness import (
    LivenessReport,
    Pulse,
    check_liveness,
    judge,
    read_liveness,
    write_liveness,
)

NOW = 1_700_000_000.0
MAX_AGE_S = 60.0
HEALTHY = LivenessReport(
    written_at=NOW - 1,
    tick=NOW - 1,
    broker="connected",
    broker_since=NOW - 3600,
    last_delivery=NOW - 1800,
    last_ack=NOW - 1790,
    held=0,
    slots=2,
    draining=False,
    waiting_since=0.0,
)


def verdict(**changes: object) -> tuple[bool, str]:
    return judge(replace(HEALTHY, **changes), NOW, MAX_AGE_S)  # type: ignore[arg-type]


def test_an_idle_worker_with_a_turning_loop_is_alive() -> None:
    assert verdict() == (True, "alive: 0 of 2 slots held")


def test_a_standing_loop_is_wedged_when_the_broker_is_connected() -> None:
    ok, sentence = verdict(tick=NOW - 61)
    assert not ok
    assert "wedged" in sentence


def test_a_standing_loop_is_forgiven_while_the_broker_is_away() -> None:
    ok, sentence = verdict(tick=NOW - 7200, broker="retrying", broker_since=NOW - 7200)
    assert ok
    assert "broker away since 2023-11-14T20:13:20.000Z" in sentence


def test_a_broker_that_is_away_does_not_excuse_a_stopped_process() -> None:
    ok, sentence = verdict(broker="retrying", written_at=NOW - 61)
    assert not ok
    assert "silent for 61 s" in sentence


def test_a_draining_worker_is_left_to_finish() -> None:
    ok, sentence = verdict(draining=True, tick=NOW - 600, held=1)
    assert ok
    assert "draining" in sentence


def test_waiting_work_and_free_slots_without_a_delivery_is_catatonic() -> None:
    ok, sentence = verdict(waiting_since=NOW - 61, held=1)
    assert not ok
    assert "catatonic" in sentence
    assert "1 slots are free" in sentence


@pytest.mark.parametrize(
    "excuse",
    [
        {"waiting_since": NOW - 59},
        {"last_delivery": NOW - 59},
        {"last_ack": NOW - 59},
        {"broker_since": NOW - 59},
        {"held": 2},
    ],
    ids=["just-queued", "just-delivered", "slot-just-freed", "just-connected", "all-busy"],
)
def test_waiting_work_is_no_fault_with_an_excuse(excuse: dict[str, object]) -> None:
    assert verdict(**({"waiting_since": NOW - 600} | excuse))[0]


def test_a_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    write_liveness(path, HEALTHY)
    assert read_liveness(path) == HEALTHY
    assert [file.name for file in tmp_path.iterdir()] == ["alive"]
    assert check_liveness(path, NOW) == (True, "alive: 0 of 2 slots held")


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"tick": 1}'])
def test_no_file_or_a_broken_one_is_no_sign_of_life(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "alive"
    if text is not None:
        path.write_text(text)
    ok, sentence = check_liveness(path, NOW)
    assert not ok
    assert str(path) in sentence


def test_a_pulse_is_wedged_only_while_connected() -> None:
    pulse = Pulse(tick=NOW)
    assert not pulse.is_wedged(NOW + 3600, MAX_AGE_S)
    pulse.connected(NOW)
    assert pulse.is_wedged(NOW + 61, MAX_AGE_S)
    pulse.beat(NOW + 61)
    assert not pulse.is_wedged(NOW + 62, MAX_AGE_S)
    pulse.retrying(NOW + 70)
    assert not pulse.is_wedged(NOW + 3600, MAX_AGE_S)


def test_an_outage_lasts_since_it_began() -> None:
    pulse = Pulse(tick=NOW)
    pulse.connected(NOW)
    pulse.retrying(NOW + 10)
    pulse.retrying(NOW + 20)
    assert pulse.broker_since == NOW + 10
