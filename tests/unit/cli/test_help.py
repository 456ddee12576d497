"""The help: complete, uncut at 80 columns, and quick because it imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from command_line import CommandLine

from marea.cli.main import app

HEAVY = (
    "PIL",
    "boto3",
    "celery",
    "fastapi",
    "httpx",
    "kombu",
    "pandas",
    "pydantic",
    "redis",
    "rich",
    "structlog",
    "yaml",
)
PROCESSES = ("gateway", "worker", "reconciler", "autoscaler")


def verbs(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every verb with its words, e.g. `dead replay`."""
    command = command or typer.main.get_command(app)
    for name, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from verbs(inner, (*path, name))
        else:
            yield " ".join((*path, name)), inner


VERBS = dict(verbs())


def test_help_imports_nothing_heavy() -> None:
    """`marea --help` takes 0.2 s of processor time; rich alone would double it."""
    program = (
        "import sys; sys.argv = ['marea', '--help']\n"
        "import marea.cli.main\n"
        "try: marea.cli.main.main()\n"
        "except SystemExit: pass\n"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Drop a file in a bucket" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("family", ["", "dead", "route", "pipelines", "scaling", "store"])
def test_every_verb_is_listed_with_an_uncut_sentence(shell: CommandLine, family: str) -> None:
    ended = shell.run(*family.split(), "--help")
    assert ended.status == 0
    for verb in VERBS:
        *before, last = verb.split()
        if " ".join(before) == family:
            assert f"\n  {last} " in ended.out
    assert "..." not in ended.out.split("Commands:")[1]


def test_every_parameter_of_every_verb_is_explained() -> None:
    silent = [
        f"{verb} {parameter.name}"
        for verb, command in VERBS.items()
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


@pytest.mark.parametrize("verb", sorted(set(VERBS) - set(PROCESSES)))
def test_every_verb_that_prints_can_print_json(verb: str) -> None:
    assert any("--json" in parameter.opts for parameter in VERBS[verb].params)


def test_help_shows_what_is_written_in_square_brackets(shell: CommandLine) -> None:
    """rich would take `[...]` for markup and swallow it."""
    assert "[default: .marea]" in " ".join(shell.run("up", "--help").out.split())


def test_the_version_is_one_line(shell: CommandLine) -> None:
    ended = shell.run("--version")
    assert (ended.status, ended.out.count("\n")) == (0, 1)
    assert ended.out[0].isdigit()
