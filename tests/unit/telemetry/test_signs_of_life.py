"""Signs of life of a process that waits or has no port."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from waiting import wait_until

from marea.clock import FakeClock, SystemClock
from marea.telemetry.liveness import SignsOfLife, check_sign, signs_while
from marea.worker.liveness import check_liveness


def test_a_process_that_touched_its_file_lately_is_alive(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "alive"
    SignsOfLife(clock, file).touch("duty sweep")
    assert check_sign(file, clock.now() + 179) == (True, "alive: duty sweep")


def test_a_process_that_is_silent_is_told_with_what_it_did_last(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "alive"
    SignsOfLife(clock, file).touch("duty sweep")
    is_live, sentence = check_sign(file, clock.now() + 181)
    assert not is_live
    assert sentence == "silent for 181 s, in the middle of: duty sweep"


def test_a_process_that_never_wrote_has_not_started(tmp_path: Path) -> None:
    is_live, sentence = check_sign(tmp_path / "alive", 0.0)
    assert not is_live
    assert "has not started" in sentence


def test_another_file_is_no_sign_of_life(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    for content in ("", "[]", "{}", '{"doing": 1}', '{"doing": "x", "written_at": "soon"}'):
        file.write_text(content)
        assert check_sign(file, 0.0)[0] is False


def test_the_file_is_not_written_with_every_effect(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "alive"
    life = SignsOfLife(clock, file)
    life.touch("first")
    life.touch("second")
    assert json.loads(file.read_text())["doing"] == "first"
    clock.sleep(1.0)
    life.touch()
    assert json.loads(file.read_text()) == {"doing": "second", "written_at": clock.now()}


def test_a_file_that_cannot_be_written_is_a_trouble_and_no_failure(tmp_path: Path) -> None:
    clock = FakeClock()
    life = SignsOfLife(clock, tmp_path / "absent" / "alive")
    life.touch("x")
    assert "No such file" in life.trouble
    (tmp_path / "absent").mkdir()
    clock.sleep(1.0)
    life.touch("x")
    assert life.trouble == ""


def test_whoever_waits_is_alive_and_leaves_no_thread(tmp_path: Path) -> None:
    clock, file = SystemClock(), tmp_path / "alive"
    before = threading.active_count()
    with signs_while("waiting for the object store", file, clock):
        wait_until(file.exists, "the first sign")
        is_live, sentence = check_liveness(file, clock.now())
    assert (is_live, sentence) == (True, "alive: waiting for the object store")
    assert threading.active_count() == before


def test_without_a_file_nobody_writes() -> None:
    before = threading.active_count()
    with signs_while("waiting", None, SystemClock()):
        assert threading.active_count() == before
