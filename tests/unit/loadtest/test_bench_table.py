"""The table of a run: missed targets stand out, and a page gets the figures between its marks."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.bench.__main__ import main
from loadtest.bench.figures import Figure, Results, write_json_lines
from loadtest.bench.sections import SECTIONS, TARGETS
from loadtest.bench.table import BEGIN, END, figures_table, number, write_markdown

MACHINE = {
    "at": "2026-01-31",
    "commit": "abc1234",
    "cores": 2,
    "cpu": "a processor",
    "memory_gib": 8,
    "python": "3.11.9",
    "packages": {"celery": "5.6.0"},
}
HELP = "marea --help"


def starts(seconds: float, note: str = "") -> Figure:
    return Figure("starts", HELP, "marea", "s", (seconds,), note)


def pss(contender: str, *values: float) -> Figure:
    return Figure("memory", "worker PSS", contender, "MB", values)


def shown(*figures: Figure) -> str:
    console = Console(width=150, file=io.StringIO())
    console.print(figures_table(Results(list(figures))))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def page_with(tmp_path: Path, *figures: Figure) -> str:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n", encoding="utf-8")
    write_markdown(page, MACHINE, Results(list(figures)))
    return page.read_text(encoding="utf-8")


def test_a_missed_target_is_marked_and_a_reached_one_is_not() -> None:
    assert "missed: 0.4 ≤ 0.3" in shown(starts(0.4))
    assert "missed" not in shown(starts(0.2))
    assert "0.2 ≤ 0.3" in shown(starts(0.2))


def test_a_ratio_names_what_it_is_to() -> None:
    table = shown(pss("marea", 150.0, 160.0), pss("plain Celery", 200.0, 200.0))
    assert "0.775 ≤ 1 × plain Celery" in table
    assert "150 – 160" in table


def test_a_target_whose_other_contender_was_not_measured_is_left_out() -> None:
    assert "≤" not in shown(pss("marea", 150.0))


def test_the_page_gets_the_figures_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    text = page_with(tmp_path, starts(0.4))
    assert text.startswith(f"before\n{BEGIN}\n2026-01-31, commit abc1234, 2 cores")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "old figures" not in text
    assert f"| starts: {HELP} | marea | 0.4 s |  | **missed**: 0.4 ≤ 0.3 |" in text


def test_the_page_can_be_written_again(tmp_path: Path) -> None:
    page_with(tmp_path, starts(0.4))
    page = tmp_path / "page.md"
    write_markdown(page, MACHINE, Results([starts(0.25)]))
    text = page.read_text(encoding="utf-8")
    assert "**missed**" not in text
    assert text.count(BEGIN) == text.count(END) == text.count(HELP) == 1


def test_a_note_stands_once_below_the_table_whoever_refers_to_it(tmp_path: Path) -> None:
    note = "measured on an idle machine"
    text = page_with(tmp_path, starts(0.2, note), Figure("starts", "x", "y", "s", (1.0,), note))
    assert text.count("[1]") == 2
    assert text.count(note) == 1


@pytest.mark.parametrize("text", ["no marks\n", f"{BEGIN}\n", f"{END}\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_both_marks_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no place for figures"):
        write_markdown(page, MACHINE, Results([starts(0.2)]))
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.10449, "0.104"), (44.56, "44.6"), (999.4, "999"), (1000.0, "1,000"), (2253.4, "2,253")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_every_target_belongs_to_a_section() -> None:
    assert {target.section for target in TARGETS} <= set(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_can_be_loaded(name: str) -> None:
    assert callable(SECTIONS[name].load())


def test_an_earlier_run_is_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.jsonl"
    write_json_lines(path, MACHINE, [starts(0.4)])
    assert main(["--table", str(path)]) == 0
    assert HELP in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--table", "absent.jsonl"], ["no-such-section"]])
def test_unusable_arguments_end_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")
