"""A run's folder: `run.json` and, one object a line, `sends.jsonl`, `samples.jsonl`,
`jobs.jsonl`, `decisions.jsonl`. The clients' `history.jsonl` lies beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from loadtest.runs.data import Decision, Job, Limit, Run, Sample, Send

RUN_FILE = "run.json"
_TABLES: dict[str, type[Send] | type[Sample] | type[Job] | type[Decision]] = {
    "sends": Send,
    "samples": Sample,
    "jobs": Job,
    "decisions": Decision,
}
Row = TypeVar("Row")


class RunError(ValueError):
    """A folder that holds no run, or a part of one that cannot be read."""


def save_run(run: Run, folder: Path) -> None:
    """Write all of it; what is there already is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _TABLES:
        rows: Iterable[Any] = getattr(run, name)
        text = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    head = asdict(replace(run, sends=(), samples=(), jobs=(), decisions=()))
    for name in _TABLES:
        del head[name]
    text = json.dumps({"v": 1, **head}, ensure_ascii=False, indent=1)
    (folder / RUN_FILE).write_text(text + "\n", encoding="utf-8")


def load_run(folder: Path) -> Run:
    """The inverse of `save_run`. Raises `RunError` with the file and what is wrong with it."""
    file = folder / RUN_FILE
    if not file.is_file():
        raise RunError(f"{folder} holds no load run: there is no {RUN_FILE} in it")
    try:
        head = json.loads(file.read_text(encoding="utf-8"))
        head.pop("v", None)
        head["notes"] = tuple(head.get("notes", ()))
        head["limits"] = tuple(Limit(**each) for each in head.get("limits", ()))
        tables = {name: load_rows(folder / f"{name}.jsonl", row) for name, row in _TABLES.items()}
        return Run(**head, **tables)
    except (OSError, ValueError, TypeError, KeyError) as exc:
        if isinstance(exc, RunError):
            raise
        raise RunError(f"{file} cannot be read: {exc}") from exc


def load_rows(file: Path, row: type[Row]) -> tuple[Row, ...]:
    """The lines of a file; a last one that was cut off is left out. Raises `RunError`."""
    if not file.is_file():
        return ()
    found: list[Row] = []
    lines = file.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(row(**json.loads(line)))
        except (ValueError, TypeError) as exc:
            if number == len(lines):
                break
            raise RunError(f"{file}, line {number}: {exc}") from exc
    return tuple(found)
