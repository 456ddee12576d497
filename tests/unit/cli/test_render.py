"""What people read: keys shown as they are, columns aligned, nothing cut."""

from __future__ import annotations

import io
import shlex
from typing import Any

import pytest
from rich.console import Console

from marea.cli.banner import banner, lines_to_paste
from marea.cli.render import columns, jobs_table, plain, prose
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.messages.objects import ObjectRef


def console(width: int = 80, *, is_terminal: bool = False) -> Console:
    """As `Session.console` builds it, writing into a text."""
    return Console(
        file=io.StringIO(), soft_wrap=True, highlight=False, emoji=False, width=width,
        force_terminal=is_terminal, color_system=None,
    )  # fmt: skip


def shown(markup: str, width: int = 80) -> str:
    paper = console(width)
    paper.print(markup)
    written = paper.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def row(key: str, code: str = "", reason: str = "") -> JobState:
    job = Job(ObjectRef("uploads", key, "v1", "etag", 1), "grayscale", "images")
    return JobState(job, "rejected" if code else "done", code=code, reason=reason)


@pytest.mark.parametrize(
    "key", ["a[1].jpg", "[bold]x[/bold]", "[/]", ":cat:.jpg", "Ünï.jpg", "a\\b", "[red", "100%"]
)
def test_a_key_is_shown_as_it_is(key: str) -> None:
    assert shown(plain(key)) == key + "\n"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb", "a\\nb"),
        ("a\u202egpj", "a\\u202egpj"),
        ("a\udcffb", "a\\udcffb"),
    ],
    ids=["escape sequence", "line break", "reversed writing", "no UTF-8"],
)
def test_what_a_terminal_would_obey_is_spelled_out(key: str, expected: str) -> None:
    assert shown(plain(key)) == expected + "\n"


def test_columns_are_aligned_by_what_is_seen_not_by_markup() -> None:
    lines = columns([("[bold]a[/]", "x"), ("[green]done[/]", "y"), ("日本", "z")])
    assert shown(lines).splitlines() == ["a     x", "done  y", "日本  z"]


def test_long_keys_garble_no_table_and_are_not_cut() -> None:
    long = "folder/" * 30 + "photo.jpg"
    lines = shown(jobs_table(console(), [row(long), row("b.jpg")]), width=40).splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["done", "done"]
    assert lines[1].endswith(long)
    assert lines[1].index(long) == lines[2].index("b.jpg") == lines[0].index("key")


def test_a_reason_stands_whole_below_its_job() -> None:
    reason = "the file is empty (0 bytes); upload it again, the transfer may have been cut off"
    bad = row("b.jpg", "file-empty", reason)
    for_grep = jobs_table(console(), [bad]).splitlines()
    assert for_grep[-1].strip() == f"file-empty: {reason}"
    for_people = jobs_table(console(50, is_terminal=True), [bad]).splitlines()
    assert all(len(line) <= 50 for line in for_people[2:])
    assert " ".join(" ".join(for_people[2:]).split()) == f"file-empty: {reason}"


def test_a_sentence_on_a_terminal_is_broken_between_words_only() -> None:
    text = "correct MAREA_STORE__ACCESS_KEY and MAREA_STORE__SECRET_KEY, or give a role"
    lines = prose(console(40, is_terminal=True), text).splitlines()
    assert len(lines) > 1
    assert " ".join(line.strip() for line in lines) == text


REPORT: dict[str, Any] = {
    "s3": {
        "endpoint_url": "http://127.0.0.1:9000",
        "access_key": "marea",
        "secret_key": "u4TPiY_rZ1CvK7om371Syyvpezt9CVbw",
        "source_bucket": "uploads",
        "results_bucket": "results",
    },
    "api": {"url": "http://127.0.0.1:8080", "token": "t"},
    "store": "minio",
    "broker": "redis",
    "data": "/tmp/some [folder]",
    "environment_file": "/tmp/some [folder]/it's/marea.env",
}


@pytest.mark.parametrize("width", [30, 80, 120])
def test_the_banner_breaks_and_loses_no_line_at_any_width(width: int) -> None:
    lines = shown(banner(REPORT), width)
    assert lines_to_paste(REPORT) in lines
    assert "/tmp/some [folder]" in lines


def test_the_banners_shell_lines_are_words_of_a_shell() -> None:
    shell, _, _ = lines_to_paste(REPORT).partition("# boto3")
    words = [shlex.split(line, comments=True) for line in shell.splitlines()]
    assert ["set", "-a;", ".", "/tmp/some [folder]/it's/marea.env;", "set", "+a"] in words


def test_the_banners_boto3_lines_are_python() -> None:
    compile(lines_to_paste(REPORT).partition("# boto3, in Python\n")[2], "banner", "exec")


def test_the_banner_says_that_a_demo_store_is_volatile() -> None:
    assert "in memory" not in shown(banner(REPORT))
    assert "in memory" in shown(banner({**REPORT, "store": "moto (volatile)"}))
