"""What `marea audit` counts, from listings and records alone.

Every listed version falls in exactly one class, the worst of its jobs'; the classes add up
to the listing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marea.lifecycle.finish import RENDERS
from marea.messages.record import Record

CLASSES = (
    "done",
    "superseded",
    "rejected",
    "dead",
    "cancelled",
    "gone",
    "unrouted",
    "ignored",
    "in_flight",
    "missing",
)
SEVERITY = (
    "missing",
    "in_flight",
    "dead",
    "rejected",
    "cancelled",
    "gone",
    "superseded",
    "done",
)
"""Which class a version with several jobs falls in: the first that one of them is in."""


@dataclass(slots=True)
class Audit:
    """The totals, and what is wrong by name."""

    versions: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    """`key@version pipeline` of jobs with neither record nor open row."""
    duplicates: list[str] = field(default_factory=list)
    stale: int = 0
    """Done jobs whose record carries another digest than the pipeline has now."""

    @property
    def is_clean(self) -> bool:
        return not self.missing and not self.duplicates

    def as_json(self) -> dict[str, object]:
        return {
            "versions": self.versions,
            "classes": {name: self.classes.get(name, 0) for name in CLASSES if name != "missing"},
            "missing": len(self.missing),
            "missing_jobs": self.missing[:100],
            "duplicates": len(self.duplicates),
            "duplicate_results": self.duplicates[:100],
            "stale": self.stale,
        }


def version_class(job_classes: Iterable[str]) -> str:
    """The class of a version from those of its jobs (at least one)."""
    return min(job_classes, key=SEVERITY.index)


def suspect_results(
    records: Iterable[Record], stored_versions: Mapping[tuple[str, str], int]
) -> list[tuple[str, str]]:
    """Results (bucket, key) with more stored versions than done records account for.

    `stored_versions` counts what the results bucket keeps of each key. A suspect is not yet
    a duplicate: a version that was superseded after it was written is in no done record.
    """
    commits: Counter[tuple[str, str]] = Counter()
    for record in records:
        for output in record.outputs:
            commits[output.bucket, output.key] += int(record.details.get(RENDERS, 1))
    return sorted(
        place for place, count in stored_versions.items() if count > max(1, commits[place])
    )


def repeated_jobs(job_ids: Iterable[str], records: Mapping[str, Record]) -> list[str]:
    """Ids of jobs that wrote one result key more often than they were asked to.

    `job_ids` names, per stored version of the key, the job that wrote it.
    """
    return sorted(
        job_id
        for job_id, count in Counter(job_ids).items()
        if count > (int(records[job_id].details.get(RENDERS, 1)) if job_id in records else 1)
    )


def shared_results(records: Iterable[Record]) -> list[str]:
    """Results that records of different uploads or pipelines both list."""
    owners: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    for record in records:
        for output in record.outputs:
            owners.setdefault((output.bucket, output.key), set()).add(
                (record.ref.bucket, record.ref.key, record.pipeline)
            )
    return [
        f"{bucket}/{key}: the result of {len(sources)} different jobs"
        for (bucket, key), sources in sorted(owners.items())
        if len(sources) > 1
    ]
