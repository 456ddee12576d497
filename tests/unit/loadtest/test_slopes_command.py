"""What the command says to arguments it cannot use, and to the figures of an earlier run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.slopes.__main__ import main
from loadtest.slopes.fit import Growth, Measure, Point
from loadtest.slopes.results import Acceptance, Run, read_json, write_json
from loadtest.slopes.table import PLACE

MACHINE = {"at": "2026-01-01", "commit": "abc1234", "cores": 2, "cpu": "a processor"}


def measure(name: str, exponent: float, allowed: Growth = Growth.LINEAR) -> Measure:
    points = tuple(Point(size, (size**exponent, 2 * size**exponent)) for size in (1e2, 1e3, 1e4))
    return Measure(name, "ms", "queued jobs", points, allowed, "a note")


def run_of(*measures: Measure, used_bytes: int = 160_000_000) -> Run:
    queue = Acceptance(queued=100_000, used_bytes=used_bytes, key_bytes=6_000_000)
    return Run(MACHINE, partial=False, measures=list(measures), acceptance=queue, ended_bytes=900.0)


def shown(run: Run, folder: Path, *words: str) -> int:
    path = folder / "slopes.json"
    write_json(path, run)
    return main(["--read", str(path), *words])


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = run_of(measure("flat", 0.0, Growth.FLAT), measure("linear", 1.0))
    write_json(tmp_path / "slopes.json", run)
    assert read_json(tmp_path / "slopes.json") == run


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (run_of(measure("decision", 0.0), measure("sweep", 1.0)), 0),
        (run_of(measure("decision", 1.3)), 1),
        (run_of(measure("bytes", 0.5, Growth.FLAT)), 1),
        (run_of(measure("decision", 0.0), used_bytes=236_000_000), 0),
        (run_of(measure("decision", 0.0), used_bytes=236_000_001), 1),
        (replace(run_of(measure("decision", 0.0)), partial=True), 1),
    ],
)
def test_the_status_says_whether_all_grow_as_they_may(
    run: Run, status: int, tmp_path: Path
) -> None:
    assert shown(run, tmp_path) == status


def test_memory_is_not_judged_at_a_small_queue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = run_of(measure("decision", 0.0))
    small.acceptance = Acceptance(queued=100, used_bytes=2_000_000, key_bytes=6_000)
    assert shown(small, tmp_path) == 0
    assert "judged at 100,000 jobs" in capsys.readouterr().out


def test_what_misses_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown(run_of(measure("decision", 0.0), measure("sweep", 2.0)), tmp_path)
    assert "sweep is worse, and may be linear" in capsys.readouterr().out


def test_the_picture_of_an_earlier_run_is_drawn_twice(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = run_of(measure("decision", 0.0), measure("sweep", 2.0), measure("falling", -1.0))
    assert shown(run, tmp_path, "--plot", str(tmp_path / "slopes.svg")) == 1
    drawn = (tmp_path / "slopes.svg").read_text(encoding="utf-8")
    assert "<svg" in drawn
    assert (tmp_path / "slopes.png").stat().st_size > 10_000


def test_the_table_of_a_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{PLACE.begin}\nold\n{PLACE.end}\nafter\n", encoding="utf-8")
    run = run_of(measure("decision", 0.0), measure("sweep", 2.0))
    assert shown(run, tmp_path, "--markdown", str(page)) == 1
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith(("| decision", "| sweep"))]
    assert [row.split("|")[-2].strip() for row in rows] == ["flat", "**worse**"]
    assert "154.0 MB beyond their keys, within 230 MB." in text


def test_a_page_without_a_place_for_the_table_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n", encoding="utf-8")
    assert main(["--markdown", str(page)]) == 2
    assert "no place for figures" in capsys.readouterr().err


def test_a_measure_without_a_slope_is_told_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_size = Measure("decision", "ms", "queued jobs", (Point(100.0, (1.0,)),))
    assert shown(run_of(one_size), tmp_path) == 1
    assert "two sizes or more" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"machine": {}}'])
def test_a_file_of_another_kind_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    assert main(["--read", str(path)]) == 2
    assert "--read wants what --json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--levels 100", "two or more"),
        ("--levels 1000 100", "each larger"),
        ("--levels 100 100", "each larger"),
        ("--levels 10 100", "from 50"),
        ("--levels 100 2000000", "1,000,000 queued jobs"),
        ("--repeats 0", "1 or more"),
        ("--sweep-objects 10", "0 for no sweeps"),
        ("--plot slopes.jpg", "ends in .png or .svg"),
        ("--json no/such/folder/slopes.json", "no folder no/such/folder"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_before_anything_is_started(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert sentence in capsys.readouterr().err
