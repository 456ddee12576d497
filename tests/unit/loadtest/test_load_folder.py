"""A run's folder gives back what was put into it, or says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from load_runs import run_of, send

from loadtest.runs.data import Decision, Job, Limit, Run, Sample, Send
from loadtest.runs.folder import RUN_FILE, RunError, load_rows, load_run, save_run

MOMENT = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNTS = st.dictionaries(TEXT, st.integers(0, 10**12), max_size=3)
AMOUNTS = st.dictionaries(TEXT, MOMENT, max_size=3)
STAMPS = ("uploaded_s", "accepted_s", "started_s", "finished_s", "recorded_s")
RUNS = st.builds(
    replace,
    st.just(run_of()),
    scenario=TEXT,
    partial=TEXT,
    settled_s=st.none() | MOMENT,
    calibration=AMOUNTS,
    notes=st.lists(TEXT, max_size=2).map(tuple),
    sends=st.lists(
        st.builds(Send, due_s=MOMENT, sent_s=MOMENT, done_s=MOMENT, problem=TEXT), max_size=3
    ).map(tuple),
    samples=st.lists(
        st.builds(Sample, MOMENT, ready=COUNTS, cpu=AMOUNTS, memory=COUNTS), max_size=3
    ).map(tuple),
    jobs=st.lists(st.builds(Job, **dict.fromkeys(STAMPS, st.none() | MOMENT)), max_size=3).map(
        tuple
    ),
    decisions=st.lists(
        st.builds(Decision, MOMENT, TEXT, st.none() | st.integers(0, 99), TEXT), max_size=3
    ).map(tuple),
    limits=st.lists(
        st.builds(Limit, TEXT, st.just("at most"), MOMENT, st.none() | MOMENT, TEXT), max_size=2
    ).map(tuple),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=RUNS)
def test_a_run_comes_back_as_it_was(tmp_path: Path, run: Run) -> None:
    save_run(run, tmp_path)
    assert load_run(tmp_path) == run


def test_a_long_run_comes_back_as_it_was(tmp_path: Path) -> None:
    run = example_run(seconds=20.0)
    save_run(run, tmp_path / "new/folder")
    assert load_run(tmp_path / "new/folder") == run


def test_what_an_earlier_run_left_is_replaced(tmp_path: Path) -> None:
    save_run(run_of(sends=(send(0), send(1))), tmp_path)
    save_run(run_of(sends=(send(2),)), tmp_path)
    assert [each.number for each in load_run(tmp_path).sends] == [2]


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    save_run(run_of(sends=(send(0), send(1))), tmp_path)
    file = tmp_path / "sends.jsonl"
    file.write_text(file.read_text()[:-20], encoding="utf-8")
    assert [each.number for each in load_run(tmp_path).sends] == [0]


def test_a_line_in_the_middle_that_is_none_is_named(tmp_path: Path) -> None:
    save_run(run_of(sends=(send(0), send(1), send(2))), tmp_path)
    file = tmp_path / "sends.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + "half a li\n" + lines[2], encoding="utf-8")
    with pytest.raises(RunError, match=r"sends\.jsonl, line 2: "):
        load_run(tmp_path)


def test_a_line_with_a_field_that_nobody_knows_is_named(tmp_path: Path) -> None:
    file = tmp_path / "sends.jsonl"
    file.write_text('{"colour": "red"}\n', encoding="utf-8")
    with pytest.raises(RunError, match=r"line 1: .*colour"):
        load_rows(file, Send)


def test_empty_lines_and_a_missing_table_are_no_rows(tmp_path: Path) -> None:
    save_run(run_of(sends=(send(0),)), tmp_path)
    (tmp_path / "sends.jsonl").write_text("\n\n", encoding="utf-8")
    (tmp_path / "jobs.jsonl").unlink()
    run = load_run(tmp_path)
    assert (run.sends, run.jobs) == ((), ())


def test_a_folder_without_a_run_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        load_run(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds no load run: there is no {RUN_FILE} in it"


@pytest.mark.parametrize("text", ["{", "[]", '{"v": 1}', json.dumps({"v": 1, "colour": "red"})])
def test_a_run_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / RUN_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json cannot be read"):
        load_run(tmp_path)
