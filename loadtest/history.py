"""What a client did, one JSON object a line: the checker's only source of what was asked.

A line is written when an operation ends (or was given up), so a killed client loses at most
the operations that were in flight. The writer never reads; the reader refuses what it does
not understand, because a history that is half read proves nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

Kind = Literal["put", "delete", "purge"]
"""`delete` puts a delete marker (or removes, without versions); `purge` removes `version_id`."""

Outcome = Literal["ok", "failed", "unknown"]
"""`failed` = refused for certain; `unknown` = no answer: it may or may not have happened."""

Oracle = Literal["good", "bad", "unrouted", ""]
"""What must become of the upload: a result, a rejection, nothing at all, or not known."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One result that a good upload must lead to."""

    key: str
    pipeline: str
    verify: str = "any"
    """`any`, `json`, `sha256:<hex>` or `image:<width>x<height>:<mode>`, e.g. `image:320x*:*`."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client on the source bucket. Times are seconds since the epoch."""

    op: Kind
    bucket: str
    key: str
    invoked_at: float
    outcome: Outcome
    completed_at: float | None = None
    etag: str = ""
    """Of a PUT, without quotes. For an unknown outcome the one it would get (MD5 of the
    body), so that the PUT is recognised if it did happen."""
    version_id: str = ""
    """Of a PUT: as answered. Of a purge: the version to remove."""
    sha256: str = ""
    size_bytes: int = 0
    oracle: Oracle = ""
    pipelines: tuple[str, ...] = ()
    """Pipelines that must each end with a record; () = those of `expected`."""
    expected: tuple[Expected, ...] = ()

    @property
    def expected_pipelines(self) -> tuple[str, ...]:
        named = self.pipelines or tuple(result.pipeline for result in self.expected)
        return tuple(dict.fromkeys(named))


class HistoryError(ValueError):
    """A history that can't be used: unreadable, malformed, or empty."""


class HistoryWriter:
    """Appends operations to a file from any number of threads; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def record(self, operation: Operation) -> None:
        """Append one line and hand it to the operating system."""
        line = json.dumps(asdict(operation), ensure_ascii=False)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def __enter__(self) -> HistoryWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def load_history(path: Path) -> list[Operation]:
    """Every operation in the file. Raises `HistoryError` with the line's number."""
    try:
        return parse_history(path.read_text(encoding="utf-8").split("\n"))
    except (OSError, UnicodeDecodeError) as exc:
        raise HistoryError(f"{path}: cannot be read: {exc}") from exc


def parse_history(lines: Iterable[str]) -> list[Operation]:
    """Operations from JSON lines; blank lines are skipped. Raises `HistoryError`."""
    operations = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            operations.append(_operation(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise HistoryError(f"history line {number}: {exc!r}") from exc
    return operations


def _operation(body: dict[str, Any]) -> Operation:
    fields = dict(body)
    fields["pipelines"] = tuple(fields.get("pipelines", ()))
    fields["expected"] = tuple(Expected(**result) for result in fields.get("expected", ()))
    operation = Operation(**fields)
    for value, allowed in (
        (operation.op, get_args(Kind)),
        (operation.outcome, get_args(Outcome)),
        (operation.oracle, get_args(Oracle)),
    ):
        if value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(map(repr, allowed))}")
    if operation.op == "put" and operation.outcome == "ok" and not operation.etag:
        raise ValueError("an acknowledged PUT has an ETag")
    return operation
