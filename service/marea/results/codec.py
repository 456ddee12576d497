"""How the ledger's entries are spelled in Redis. Text in, text out; no I/O.

A job's row is one string of three lines, because a string costs 1 allocation where a hash
of its fields costs 30:

    <rev> TAB <phase index> TAB <tenant> TAB <end of retention, "" while open> TAB <kind>
    <the job's message>
    <the state's fields, those that differ from their default, under short names>

The first line is all that the compare-and-swap script reads; a row of before there were kinds
has four columns. The job's id is in the row's
name and follows from the job, so the row has none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from marea.errors import LedgerUnavailable
from marea.lifecycle.state import JobState, WorkerBeat
from marea.messages.job import Job
from marea.messages.notification import Notification
from marea.results.demand import kind_of, kind_text
from marea.results.index import escaped, placement

_SHORT_NAMES = {
    "phase": "p",
    "attempts": "a",
    "suspects": "s",
    "deferrals": "d",
    "publishes": "n",
    "owner": "o",
    "created_at": "tc",
    "published_at": "tp",
    "started_at": "ts",
    "finished_at": "tf",
    "due_at": "td",
    "updated_at": "tu",
    "code": "c",
    "reason": "r",
}

_BEAT_FIELDS = tuple(each.name for each in fields(WorkerBeat))


class Row(NamedTuple):
    """A decoded row. `expires_at` is None while the job is open."""

    state: JobState
    expires_at: float | None


def dump_json(value: Any) -> str:
    """Compact JSON. Raises TypeError for what JSON does not know."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def encode_row(state: JobState, expires_at: float | None) -> str:
    """The row of `state`, whose rev is the one to be stored."""
    index = placement(state, expires_at).name
    expiry = "" if expires_at is None else repr(expires_at)
    fields = {
        short: value
        for name, short in _SHORT_NAMES.items()
        if (value := getattr(state, name)) not in (0, "")
    }
    kind = kind_text(kind_of(state))
    header = f"{state.rev}\t{index}\t{escaped(state.job.tenant)}\t{expiry}\t{kind}"
    return f"{header}\n{state.job.to_json()}\n{dump_json(fields)}"


def decode_row(text: str) -> Row:
    """The inverse of `encode_row`.

    Raises `LedgerUnavailable` for a row that this version cannot read: during an upgrade a
    newer process may have written it, so it is neither absent nor anybody's fault.
    """
    try:
        header, job, fields_text = text.split("\n", 2)
        rev, _index, _tenant, expiry, *_kind = header.split("\t")
        fields = json.loads(fields_text)
        known = {name: fields[short] for name, short in _SHORT_NAMES.items() if short in fields}
        state = JobState(job=Job.from_json(job), rev=int(rev), **known)
        return Row(state, float(expiry) if expiry else None)
    except (ValueError, TypeError) as exc:
        raise LedgerUnavailable(f"a row of the ledger cannot be read: {exc}") from exc


def encode_beat(beat: WorkerBeat) -> str:
    return dump_json(asdict(beat))


def decode_beat(text: str) -> WorkerBeat:
    """The inverse of `encode_beat`. Raises `LedgerUnavailable` as `decode_row` does."""
    try:
        body = json.loads(text)
        # A newer worker may tell more: the reconciler of before must not lose sight of it.
        known = {name: body[name] for name in _BEAT_FIELDS if name in body}
        return WorkerBeat(**{**known, "active": tuple(body["active"])})
    except (ValueError, TypeError, KeyError) as exc:
        raise LedgerUnavailable(f"a worker's beat cannot be read: {exc}") from exc


def encode_notification(notification: Notification) -> str:
    # Not `asdict`: it copies deeply, which a read-only view of a dict does not allow.
    return dump_json(
        {
            "id": notification.id,
            "job_id": notification.job_id,
            "url": notification.url,
            "body": dict(notification.body),
            "tries": notification.tries,
            "due_at": notification.due_at,
        }
    )


def decode_notification(text: str) -> Notification:
    """The inverse of `encode_notification`. Raises `LedgerUnavailable` as `decode_row` does."""
    try:
        return Notification(**json.loads(text))
    except (ValueError, TypeError) as exc:
        raise LedgerUnavailable(f"an outbox entry cannot be read: {exc}") from exc
