"""The process that sends, by the files that it leaves; and what a run knows of its machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtest.collect import StoreAddress
from loadtest.conduct.gather import history_of, shape_of
from loadtest.conduct.generator import LOAD_FILE, LOG_FILE, Generator, Options
from loadtest.history import HistoryError
from loadtest.machine import about_machine
from loadtest.scenario import load_scenario
from loadtest.shapes import SHAPES
from loadtest.target import Target
from loadtest.users.notebook import HISTORY_FILE, SENDS_FILE


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    target = Target(StoreAddress("http://127.0.0.1:1", "key", "secret"))
    return Generator(target, Options("short", "load/x/"), tmp_path)


def test_before_it_begins_nothing_is_known_and_nothing_sent(generator: Generator) -> None:
    assert generator.began_at is None
    assert generator.sent() == 0
    generator.stop()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"began_at": "soon"}'])
def test_a_beginning_that_is_half_written_is_not_known_yet(
    generator: Generator, tmp_path: Path, text: str
) -> None:
    (tmp_path / LOAD_FILE).write_text(text, encoding="utf-8")
    assert generator.began_at is None


def test_its_beginning_and_what_it_sent_are_read_from_its_files(
    generator: Generator, tmp_path: Path
) -> None:
    (tmp_path / LOAD_FILE).write_text('{"began_at": 17.5}', encoding="utf-8")
    (tmp_path / SENDS_FILE).write_text("{}\n{}\n{}\n{", encoding="utf-8")
    assert generator.began_at == 17.5
    assert generator.sent() == 3


def test_what_an_earlier_run_left_is_removed_and_nothing_else(
    generator: Generator, tmp_path: Path
) -> None:
    ours = {HISTORY_FILE, SENDS_FILE, LOAD_FILE, LOG_FILE}
    for name in (*ours, "run.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    generator.clean()
    generator.clean()
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_history_that_is_not_there_is_empty_and_one_that_is_none_is_refused(
    tmp_path: Path,
) -> None:
    assert history_of(tmp_path) == []
    (tmp_path / HISTORY_FILE).write_text("no history\n", encoding="utf-8")
    with pytest.raises(HistoryError, match="line 1"):
        history_of(tmp_path)


def test_a_runs_shape_is_told_by_name_and_settings() -> None:
    scenario = load_scenario("short")
    told = shape_of(scenario)
    name = told.pop("name")
    assert SHAPES[name].model_validate(told) == scenario.load.shape


def test_the_machine_is_told_as_it_is() -> None:
    machine = about_machine()
    assert machine["cpu_count"] == os.cpu_count()
    assert machine["memory_bytes"] > 100_000_000
    assert machine["cpu_model"]
    assert machine["python"].startswith("3.")
