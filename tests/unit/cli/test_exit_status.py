"""Exit status and sentences: 0 well, 1 not well, 2 unusable arguments, files or settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine

NOBODY_LISTENS = {
    "MAREA_LEDGER__URL": "redis://127.0.0.1:1/1",
    "MAREA_BROKER__URL": "redis://127.0.0.1:1/0",
    "MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:1",
    "MAREA_STORE__ACCESS_KEY": "a",
    "MAREA_STORE__SECRET_KEY": "b",
}
WRONG = {
    "MAREA_STORE__RESULTS_BUCKET": "uploads",
    "MAREA_STORE__COLOUR": "blue",
    "MAREA_GATEWAY__PORT": "70000",
    "MAREA_WORKER__POOL": "Bad Pool",
}


@pytest.mark.parametrize("verb", ["up", "gateway", "worker", "reconciler", "status", "settings"])
def test_wrong_settings_are_told_all_at_once_before_anything_starts(
    shell: CommandLine, verb: str
) -> None:
    shell.set(WRONG)
    ended = shell.run(verb)
    assert ended.status == 2
    lines = ended.err.splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == sorted(WRONG)
    assert all(line.startswith("error: ") for line in lines)
    assert ended.out == ""
    assert list(shell.folder.iterdir()) == []


def test_a_rule_between_settings_names_the_one_to_change(shell: CommandLine) -> None:
    shell.set({"MAREA_WORKER__LEASE_S": "6"})
    assert shell.run("settings").err == (
        "error: MAREA_WORKER__LEASE_S: must be at least twice heartbeat_s: one beat may be late\n"
    )


def test_wrong_files_are_told_all_at_once_before_any_server_starts(shell: CommandLine) -> None:
    (shell.folder / "rules.yaml").write_text("rules:\n  - {whan: 1, pipelines: [mine]}\n")
    (shell.folder / "pipelines.yaml").write_text("pipelines:\n  - {name: mine, steps: [resze]}\n")
    ended = shell.run("up", "--rules", "rules.yaml", "--pipelines", "pipelines.yaml")
    assert ended.status == 2
    assert "pipeline 'mine', step 1 (resze): unknown step" in ended.err
    assert "unknown field 'whan'" in ended.err
    # `mine` is unknown only because of the first mistake.
    assert "unknown pipeline" not in ended.err
    assert not (shell.folder / ".marea").exists()


def test_a_file_that_is_not_there_is_named(shell: CommandLine) -> None:
    assert "nope.env" in shell.run("--env", "nope.env", "jobs").err
    shell.set({"MAREA_RULES_FILE": "nope.yaml"})
    ended = shell.run("route", "test", "a.jpg")
    assert (ended.status, "MAREA_RULES_FILE=nope.yaml" in ended.err) == (2, True)


def test_a_broker_that_cannot_be_counted_is_refused(shell: CommandLine) -> None:
    shell.set({**NOBODY_LISTENS, "MAREA_BROKER__URL": "kafka://broker"})
    for verb in ("gateway", "worker", "reconciler"):
        ended = shell.run(verb)
        assert ended.status == 2
        assert "MAREA_BROKER__URL: a broker of kind 'kafka'" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("jobs", "--state", "finished"),
        ("jobs", "--limit", "0"),
        ("jobs", "surplus"),
        ("job",),
        ("job", ""),
        ("job", "abc"),
        ("job", "not-hexadecimal"),
        ("dead", "show", "0123456789abcdef0123456789abcdef0"),
        ("cancel", "zzzzzzzz"),
        ("submit", "absent.jpg"),
        ("submit",),
        ("up", "--broker", "kafka"),
        ("up", "--appendfsync", "never"),
        ("up", "--workers", "0"),
        ("up", "--rules", "absent.yaml"),
        ("up", "--rules", "."),
        ("route", "test", "a", "--metadata", "colour"),
        ("pipelines", "show", "nope"),
        ("rerender", "nope"),
        ("worker", "--pool", "Bad Pool"),
    ],
    ids=" ".join,
)
def test_unusable_arguments_end_with_2_and_a_sentence(
    shell: CommandLine, arguments: tuple[str, ...]
) -> None:
    shell.set(NOBODY_LISTENS)
    ended = shell.run(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert "rror: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status",), "ledger-unavailable"),
        (("jobs",), "ledger-unavailable"),
        (("job", "0123456789abcdef"), "ledger-unavailable"),
        (("audit",), "store-unavailable"),
        (("backfill",), "store-unavailable"),
    ],
)
def test_what_is_away_is_named_with_its_code(
    shell: CommandLine, arguments: tuple[str, ...], code: str
) -> None:
    shell.set({**NOBODY_LISTENS, "MAREA_STORE__CONNECT_TIMEOUT_S": "0.5"})
    ended = shell.run(*arguments)
    assert ended.status == 1
    assert ended.err.splitlines()[-1].startswith(f"error ({code}): ")


def test_without_any_settings_a_hint_says_where_they_are(shell: CommandLine) -> None:
    assert "hint: no MAREA_ variable is set" in shell.run("jobs").err
    shell.set(NOBODY_LISTENS)
    assert "hint" not in shell.run("jobs").err


def test_the_file_of_marea_up_in_this_folder_counts_without_being_named(
    shell: CommandLine,
) -> None:
    (shell.folder / ".marea").mkdir()
    (shell.folder / ".marea" / "marea.env").write_text("MAREA_STORE__RESULTS_BUCKET='elsewhere'\n")
    shown = json.loads(shell.run("settings", "--json").out)
    assert shown["settings"]["store"]["results_bucket"] == "elsewhere"


def test_submitting_nothing_says_so(shell: CommandLine) -> None:
    shell.set(NOBODY_LISTENS)
    Path("empty").mkdir()
    ended = shell.run("submit", "empty")
    assert ended.status == 1
    assert "nothing to upload" in ended.err
