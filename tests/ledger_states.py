"""Builders of job states for the ledger's tests."""

from __future__ import annotations

from typing import Any

from marea.lifecycle.state import JobState, Phase
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.results.ledger import Ledger

START = 1_700_000_000.0
"""Where a `FakeClock` starts."""
RETENTION_S = 3600.0


def make_job(key: str = "photo.jpg", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "ref": ObjectRef("uploads", key, version_id="v1", size_bytes=1000),
        "pipeline": "grayscale",
        "pool": "images",
        "tenant": "acme",
    }
    return Job(**(fields | changes))


def make_state(key: str = "photo.jpg", phase: Phase = "queued", **changes: Any) -> JobState:
    """A state not yet stored. `job` takes the job's own fields as a mapping."""
    job = make_job(key, **changes.pop("job", {}))
    fields: dict[str, Any] = {"created_at": START, "published_at": START, "updated_at": START}
    return JobState(job=job, phase=phase, **(fields | changes))


def saved(ledger: Ledger, state: JobState) -> JobState:
    stored = ledger.save(state)
    assert stored is not None
    return stored


def saved_ids(ledger: Ledger, **scores: dict[str, Any]) -> list[str]:
    """Save one state per keyword and return the ids in the order given."""
    return [saved(ledger, make_state(key, **fields)).job.id for key, fields in scores.items()]


def every_state(ledger: Ledger) -> list[JobState]:
    """Every job that the ledger knows, page by page."""
    states: list[JobState] = []
    cursor = None
    while True:
        page = ledger.page(cursor=cursor, limit=1000)
        states.extend(page.states)
        if (cursor := page.cursor) is None:
            return states
