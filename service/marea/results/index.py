"""Where a job's state stands in the ledger's indexes, and how a page of them goes on.

Pure, and shared by every adapter, so that they agree on order to the last tie. Each state
stands in exactly one phase index, named below, and in the index of all jobs.

    accepted  delayed  verdict      by updated_at, due_at, updated_at
    waiting:<tenant>                by created_at
    queued:<pool>:<priority>        by published_at
    running:<pool>:<priority>       by started_at
    ended:<phase>                   by the end of its retention, thus by when it was saved
"""

from __future__ import annotations

import json
from typing import NamedTuple, cast

from marea.errors import PermanentError
from marea.lifecycle.state import JobState
from marea.messages.job import Priority
from marea.queues.names import QUARANTINE_POOL


class Placement(NamedTuple):
    """The name of a state's phase index, and its score there (seconds since the epoch)."""

    name: str
    score: float


class Position(NamedTuple):
    """A place in an index. Newest first = the greatest position first; ids break ties."""

    score: float
    job_id: str


def lane(state: JobState) -> tuple[str, Priority]:
    """The pool and priority under which a state counts: a quarantined job's pool is not its
    own, since its message waits in the quarantine queue."""
    return (QUARANTINE_POOL if state.is_quarantined else state.job.pool, state.job.priority)


def lane_name(pool: str, priority: Priority) -> str:
    """`images:normal`."""
    return f"{pool}:{priority}"


def parse_lane(name: str) -> tuple[str, Priority]:
    """The inverse of `lane_name`."""
    pool, _, priority = name.rpartition(":")
    return pool, cast("Priority", priority)


def placement(state: JobState, expires_at: float | None) -> Placement:
    """Where `state` stands; `expires_at` is the end of its retention if it is terminal."""
    if expires_at is not None:
        return Placement(f"ended:{state.phase}", expires_at)
    match state.phase:
        case "queued":
            return Placement(f"queued:{lane_name(*lane(state))}", state.published_at)
        case "running":
            return Placement(f"running:{lane_name(*lane(state))}", state.started_at)
        case "waiting":
            return Placement(f"waiting:{escaped(state.job.tenant)}", state.created_at)
        case "delayed":
            return Placement("delayed", state.due_at)
        case _:
            return Placement(state.phase, state.updated_at)


def escaped(tenant: str) -> str:
    """A tenant without control characters: it is cut out of an object key, which has them."""
    return json.dumps(tenant, ensure_ascii=False)[1:-1]


def unescaped(text: str) -> str:
    """The inverse of `escaped`."""
    return str(json.loads(f'"{text}"'))


def cursor_at(position: Position) -> str:
    """The opaque cursor of the page that starts after `position`."""
    return f"{position.score!r}_{position.job_id}"


def parse_cursor(cursor: str) -> Position:
    """The inverse of `cursor_at`; it comes back from a client, so anything may be in it.

    Raises `PermanentError` (code `cursor-invalid`).
    """
    score, separator, job_id = cursor.partition("_")
    try:
        position = Position(float(score), job_id)
    except ValueError as exc:
        raise _invalid(cursor) from exc
    # NaN and infinity are floats, but no index has them and Redis refuses NaN as a bound.
    if not separator or position.score - position.score != 0.0:
        raise _invalid(cursor)
    return position


def _invalid(cursor: str) -> PermanentError:
    return PermanentError(
        f"{cursor[:80]!r} is not a cursor of this listing; start again without one",
        code="cursor-invalid",
    )
