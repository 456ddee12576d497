"""What people and programs ask for by API or CLI: submit, cancel, replay, re-render.

What bucket and rules cannot derive is written to the store as an intent before anybody is
told that it was accepted: an empty ledger costs time, not work.
"""

from __future__ import annotations

from marea.lifecycle.accept import accept_jobs, reopen_job
from marea.lifecycle.effects import LoadState, PutObject, Steps, ask
from marea.lifecycle.finish import Ending, Place, finish
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState, Phase
from marea.messages.job import Job, Mode
from marea.storage.naming import intent_key
from marea.storage.object_store import ALWAYS

GATEWAY = "gateway"
"""Who wrote a record, when no worker did."""

REPLAYABLE: frozenset[Phase] = frozenset({"dead", "rejected", "cancelled"})
"""Endings that another run could change; `gone` and `superseded` are facts, `done` is done."""


def submit_job(job: Job, place: Place, policy: Policy) -> Steps[tuple[JobState | None, bool]]:
    """Accept a job that a client chose; its row, and whether it is surely on its way.

    A job that has already ended is not run again: its row (or record) says how it ended.
    """
    yield from _write_intent(job, place)
    confirmed = yield from accept_jobs([job], policy)
    row = yield from ask(LoadState(job.id))
    return row, confirmed[job.id]


def cancel_job(row: JobState, place: Place) -> Steps[JobState | None]:
    """End an open job as `cancelled`; its row afterwards.

    The record decides: a job that ends first stays as it ended, and a worker that finishes
    later finds the record and adopts it (its artifacts, if written, stay).
    """
    if not row.is_terminal:
        ending = Ending("cancelled", "cancelled", "cancelled on request")
        yield from finish(row, ending, place, GATEWAY)
    return (yield from ask(LoadState(row.job.id)))


def run_again(job: Job, mode: Mode, place: Place, policy: Policy) -> Steps[JobState | None]:
    """Run an ended job again (`replay`, `rerender`); None if the broker did not confirm.

    The intent is over once a record younger than it stands.
    """
    yield from _write_intent(job.in_mode(mode, "api"), place)
    return (yield from reopen_job(job, mode, "api", policy))


def _write_intent(job: Job, place: Place) -> Steps[None]:
    yield from ask(
        PutObject(
            place.results_bucket,
            intent_key(place.reserved_prefix, job.id),
            job.to_json().encode("utf-8", "surrogateescape"),
            "application/json",
            {},
            ALWAYS,
        )
    )
