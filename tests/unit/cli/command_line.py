"""Runs `marea` in this process, in a folder and an environment of the test's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from marea.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How an invocation ended."""

    status: int
    out: str
    err: str


class CommandLine:
    """One user's shell: `run("jobs", "--json")`."""

    def __init__(
        self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], folder: Path
    ) -> None:
        self._patch = patch
        self._capture = capture
        self.folder = folder
        patch.chdir(folder)
        patch.setenv("COLUMNS", "80")
        for name in list(os.environ):
            if name.startswith("MAREA_"):
                patch.delenv(name)

    def set(self, variables: Mapping[str, str]) -> None:
        for name, text in variables.items():
            self._patch.setenv(name, text)

    def run(self, *arguments: str) -> Ended:
        self._patch.setattr(sys, "argv", ["marea", *arguments])
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = self._capture.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, shown.out, shown.err)
