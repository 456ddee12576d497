"""The staged run adds up what pytest really found, and never calls nothing a success."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import run

SUITE = """\
import pytest

@pytest.fixture
def broken():
    raise RuntimeError

def test_passes(): pass
def test_passes_too(): pass
def test_fails(): assert 0
def test_errs(broken): pass
def test_skips(): pytest.skip("not here")
"""


def test_counts_are_pytests_own(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    junit = tmp_path / "junit.xml"
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.words(run.count(junit)) == "1 failed, 2 passed, 1 skipped, 1 error"
    assert run.words(run.count(junit)) in finished.stdout.splitlines()[-1]


def test_a_stage_that_was_stopped_counts_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    unit, contract = run.STAGES[:2]
    run.report(
        [
            run.Outcome(unit, 12.0, 0, Counter(passed=40)),
            run.Outcome(contract, 400.0, 1, Counter(), "stopped after 360 s"),
        ],
        412.0,
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].strip("= ") == "40 passed, 1 error in 412.00s (0:06:52)"
    assert any("OVER BUDGET - stopped after 360 s" in line for line in lines)


def test_budgets_fit_into_a_run_and_a_run_into_ci() -> None:
    # CI stops a run after 90 minutes, set-up included, which takes up to 24 on a slow machine.
    beside = sum(stage.budget_s for stage in run.STAGES if stage.name in run.BESIDE)
    others = sum(stage.budget_s for stage in run.STAGES if stage.name not in run.BESIDE)
    assert max(beside, others) <= run.RUN_LIMIT_S < 65 * 60


def test_every_folder_of_tests_is_a_stage() -> None:
    folders = {file.relative_to(run.TESTS).parts[0] for file in run.TESTS.glob("*/**/test_*.py")}
    assert folders <= {stage.name for stage in run.STAGES}


def fake_stages(folder: Path, monkeypatch: pytest.MonkeyPatch, **suites: str) -> list[run.Stage]:
    """Stages by name, each of one file."""
    for name, text in suites.items():
        (folder / name).mkdir()
        (folder / name / f"test_{name}.py").write_text(text)
    monkeypatch.setattr(run, "TESTS", folder)
    monkeypatch.setattr(run, "ROOT", folder)
    monkeypatch.setattr(run, "BESIDE", ("aside",))
    return [run.Stage(name, 60, "a few tests") for name in suites]


def test_a_stage_beside_another_is_counted_and_shown_as_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stages = fake_stages(
        tmp_path, monkeypatch, aside=SUITE, other="def test_one(): pass\ndef test_two(): pass\n"
    )
    outcomes = run.run_stages(stages, deadline=run.monotonic() + 60)
    assert [outcome.stage.name for outcome in outcomes] == ["aside", "other"]
    assert [outcome.failed for outcome in outcomes] == [True, False]
    assert run.words(sum((each.counts for each in outcomes), Counter())) == (
        "1 failed, 4 passed, 1 skipped, 1 error"
    )
    told = capfd.readouterr().out
    assert told.index("==> aside: a few tests") < told.index("def test_fails(): assert 0")
    assert "==> aside: 1 failed, 2 passed, 1 skipped, 1 error in" in told


def test_a_stage_beside_others_is_stopped_with_the_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "import threading\ndef test_waits(): threading.Event().wait()\n"
    stages = fake_stages(tmp_path, monkeypatch, aside=endless)
    (outcome,) = run.run_stages(stages, deadline=run.monotonic() + 3)
    assert outcome.failed
    assert outcome.note.startswith("stopped after")
