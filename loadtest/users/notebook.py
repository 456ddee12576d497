"""What clients did, written down where the run can read it: here, or by way of Locust's master.

Two files of JSON lines: `history.jsonl` for the checker, `sends.jsonl` for the report. A worker
of a distributed run hands its lines to the master with each of Locust's reports, so that all of
them are in one place whatever machine they come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest.history import Operation
from loadtest.runs.data import Send

HISTORY_FILE, SENDS_FILE = "history.jsonl", "sends.jsonl"
LOAD_FILE = "load.json"
"""When the schedule began, and under which prefix."""
REPORTED = "marea_lines"
"""Name in the report of a Locust worker."""


class Notebook:
    """Keeps lines until `hand_over`; with a folder, it writes each at once."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None = the lines are handed over to somebody who has one."""
        self._folder = folder
        self._lines: list[tuple[str, str]] = []
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def record(self, operation: Operation) -> None:
        """As `HistoryWriter.record`."""
        self._add(HISTORY_FILE, asdict(operation))

    def sent(self, send: Send) -> None:
        self._add(SENDS_FILE, asdict(send))

    def hand_over(self) -> list[tuple[str, str]]:
        """(file, line), and forget them."""
        lines, self._lines = self._lines, []
        return lines

    def write(self, lines: Iterable[tuple[str, str]]) -> None:
        """Append lines to the folder's files. A name that is none of ours is refused."""
        by_file: dict[str, list[str]] = {HISTORY_FILE: [], SENDS_FILE: []}
        for name, line in lines:
            by_file[name].append(line)
        if self._folder is None:
            raise RuntimeError("this notebook has no folder")
        for name, each in by_file.items():
            if each:
                with (self._folder / name).open("a", encoding="utf-8") as file:
                    file.write("".join(f"{line}\n" for line in each))

    def put_aside(self, name: str, text: str) -> None:
        """One more file, as a whole; nothing where there is no folder."""
        if self._folder is not None:
            (self._folder / name).write_text(text, encoding="utf-8")

    def _add(self, name: str, body: dict[str, Any]) -> None:
        line = (name, json.dumps(body, ensure_ascii=False))
        if self._folder is None:
            self._lines.append(line)
        else:
            self.write([line])
