"""A run of the slopes as data: what was measured, on what, and whether it is good enough."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadtest.slopes.fit import Growth, Measure, Point

QUEUED_MAX = 100_000
BYTES_PER_JOB_MAX = 2_300
"""100,000 queued jobs in 230 MB of Redis, beyond their keys' own length: what the project set
itself."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """All that broker and ledger together take at the deepest queue, an empty server's share and
    the clients' buffers included."""

    queued: int
    used_bytes: int
    key_bytes: int
    """Length of the queued jobs' keys, each counted once."""

    @property
    def bound_bytes(self) -> int:
        return BYTES_PER_JOB_MAX * self.queued

    @property
    def is_judged(self) -> bool:
        """A small queue in a server that is a megabyte when empty says nothing."""
        return self.queued >= QUEUED_MAX

    @property
    def is_reached(self) -> bool:
        return self.used_bytes - self.key_bytes <= self.bound_bytes


@dataclass(slots=True)
class Run:
    """What a run has measured so far."""

    machine: dict[str, Any]
    partial: bool = True
    """It did not come to its end."""
    measures: list[Measure] = field(default_factory=list)
    acceptance: Acceptance | None = None
    ended_bytes: float | None = None
    """What the ledger keeps of a job that has ended, its key included."""

    @property
    def passes(self) -> bool:
        """Raises ValueError if a measure has no slope."""
        queue = self.acceptance
        return all(each.passes for each in self.measures) and (
            queue is None or not queue.is_judged or queue.is_reached
        )


def write_json(path: Path, run: Run) -> None:
    """With each slope and verdict, for readers that fit nothing themselves. Raises OSError."""
    queue = run.acceptance
    body = {
        "machine": run.machine,
        "partial": run.partial,
        "acceptance": queue
        and {
            **asdict(queue),
            "bound_bytes": queue.bound_bytes,
            "reached": queue.is_reached if queue.is_judged else None,
        },
        "ended_bytes": run.ended_bytes,
        "measures": [_told(each) for each in run.measures],
    }
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _told(measure: Measure) -> dict[str, Any]:
    told = {
        "name": measure.name,
        "unit": measure.unit,
        "of": measure.of,
        "allowed": str(measure.allowed),
        "note": measure.note,
        "points": [{"at": point.at, "values": list(point.values)} for point in measure.points],
    }
    try:
        line = measure.fit
    except ValueError as exc:
        return {**told, "verdict": None, "problem": str(exc)}
    slopes = {"slope": line.slope, "slope_low": line.low, "slope_high": line.high}
    return {**told, **slopes, "last_step": line.last_step, "verdict": str(measure.growth)}


def read_json(path: Path) -> Run:
    """The inverse; slopes are fitted anew. Raises OSError, ValueError, KeyError, TypeError."""
    body = json.loads(path.read_text(encoding="utf-8"))
    queue = body["acceptance"]
    return Run(
        machine=body["machine"],
        partial=body["partial"],
        measures=[
            Measure(
                name=each["name"],
                unit=each["unit"],
                of=each["of"],
                points=tuple(
                    Point(float(point["at"]), tuple(map(float, point["values"])))
                    for point in each["points"]
                ),
                allowed=Growth[each["allowed"].upper()],
                note=each["note"],
            )
            for each in body["measures"]
        ],
        ended_bytes=body["ended_bytes"],
        acceptance=queue and Acceptance(queue["queued"], queue["used_bytes"], queue["key_bytes"]),
    )
