"""The reconciler's duties over the ledger and the broker, each a bounded procedure.

    release_due        delayed rows whose time has come           ─▶ publish
    release_waiting    rows over their tenant's quota             ─▶ publish, round-robin
    publish_accepted   rows whose acceptance was cut short        ─▶ publish
    settle_verdicts    spent budgets                              ─▶ `dead` record
    recover_running    rows whose owner died                      ─▶ queued again, accounted
    republish_lost     rows whose message is gone, by evidence    ─▶ publish
    settle_dead_letter what RabbitMQ gave up on                   ─▶ record or quarantine

All are safe to repeat and to run twice at once: rows change by compare-and-swap, and a
message too many is dropped at its claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marea.lifecycle.accept import publish_rows
from marea.lifecycle.claim import (
    after_lost_worker,
    is_claim_live,
    owner_worker,
    why_given_up,
)
from marea.lifecycle.effects import (
    AcceptedRows,
    DueRows,
    LoadState,
    LoadStates,
    QueuedRows,
    ReadClock,
    ReadWorker,
    RunningRows,
    SaveState,
    SaveStates,
    Steps,
    TenantLoads,
    VerdictRows,
    WaitingRows,
    WaitingTenants,
    ask,
)
from marea.lifecycle.finish import Ending, Place, finish
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.job import PRIORITIES, Job

RECONCILER = "reconciler"
"""Who wrote a record, when no worker did."""


def release_due(limit: int) -> Steps[int]:
    """Publish delayed rows that are due; how many were confirmed."""
    now = yield from ask(ReadClock())
    rows = yield from _load_rows((yield from ask(DueRows(now, limit))))
    due = [row for row in rows if row.phase == "delayed" and row.due_at <= now]
    return (yield from _publish_as_accepted(due, now))


def release_waiting(policy: Policy, limit: int) -> Steps[int]:
    """Publish waiting rows while their tenant is below its quota, a turn per tenant."""
    tenants = yield from ask(WaitingTenants())
    if not tenants:
        return 0
    now = yield from ask(ReadClock())
    loads = yield from ask(TenantLoads(tuple(tenants)))
    queues: dict[str, list[str]] = {}
    for tenant in tenants:
        room = policy.tenant_quota - loads.get(tenant, 0)
        if room > 0:
            queues[tenant] = yield from ask(WaitingRows(tenant, min(room, limit)))
    chosen: list[str] = []
    while len(chosen) < limit and any(queues.values()):
        for ids in queues.values():
            if ids and len(chosen) < limit:
                chosen.append(ids.pop(0))
    rows = yield from _load_rows(chosen)
    waiting = [row for row in rows if row.phase == "waiting"]
    return (yield from _publish_as_accepted(waiting, now))


def publish_accepted(older_than_s: float, limit: int) -> Steps[int]:
    """Publish rows that stayed `accepted`: their gateway died or the broker was away."""
    now = yield from ask(ReadClock())
    rows = yield from _load_rows((yield from ask(AcceptedRows(now - older_than_s, limit))))
    stuck = [row for row in rows if row.phase == "accepted"]
    return (yield from _publish_as_accepted(stuck, now))


def settle_verdicts(place: Place, limit: int) -> Steps[int]:
    """Write the `dead` record of jobs whose last child was lost; how many."""
    rows = yield from _load_rows((yield from ask(VerdictRows(limit))))
    for row in rows:
        if row.phase == "verdict":
            yield from finish(row, dead_ending(row), place, RECONCILER)
    return len(rows)


def dead_ending(row: JobState) -> Ending:
    """The ending of a job whose attempts are spent."""
    return Ending("dead", *why_given_up(row))


def recover_running(policy: Policy, *, broker_redelivers: bool) -> Steps[int]:
    """Take rows from owners that are gone; how many.

    Where the broker redelivers itself (RabbitMQ) they are published: the dead worker's
    message came back at once, met the claim while that was live, and was dropped. To wait
    until `republish_lost` misses it took half a minute (measured). Else they become `queued`:
    the reconciler is about to return the message, and a copy beside it would hide a lost one
    from `republish_lost` for as long as it is in the queue.
    """
    running = yield from ask(RunningRows())
    beats = {}
    for owner in sorted({owner_worker(owner) for owner in running.values()}):
        beats[owner] = yield from ask(ReadWorker(owner))
    now = yield from ask(ReadClock())
    suspects = [
        job_id
        for job_id, owner in running.items()
        if (beat := beats[owner_worker(owner)]) is None or job_id not in beat.active
    ]
    settled: list[JobState] = []
    dropped: list[JobState] = []
    for row in (yield from _load_rows(suspects)):
        beat = beats.get(owner_worker(row.owner))
        if row.phase != "running" or is_claim_live(row, beat, now, policy):
            continue
        if beat is None:
            changed = after_lost_worker(row)
        else:
            changed = row.but(owner="", code="child-lost", reason="the process running it died")
        if changed.attempts >= policy.max_attempts:
            settled.append(changed.but(phase="verdict", published_at=now, updated_at=now))
        elif broker_redelivers:
            dropped.append(changed)
        else:
            settled.append(changed.but(phase="queued", published_at=now, updated_at=now))
    saved = (yield from ask(SaveStates(tuple(settled)))) if settled else []
    published = yield from _publish_as_accepted(dropped, now)
    return published + sum(row is not None for row in saved)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a pool: the ledger's counts beside the broker's."""

    taken_at: float
    queued: int
    running: int
    ready: int
    unacked: int

    @property
    def deficit(self) -> int:
        """Queued rows for which the broker has no message.

        A running job normally holds its own message unacknowledged; what is unacked beyond
        that is prefetched, and not lost. One whose message was taken over (rule 7) holds
        none, hence the floor at zero.
        """
        return self.queued - self.ready - max(0, self.unacked - self.running)


def republish_lost(
    pool: str, before: Reading | None, now_reading: Reading, policy: Policy, limit: int
) -> Steps[int]:
    """Publish again what two readings in a row miss (design rule 6); how many.

    Only rows published before the first reading count, oldest first: an old one may still
    be in the queue, then the copy is dropped at its claim and the next reading finds the
    rest. Backoff per job keeps a deep, slow queue from being published over and over.
    """
    if before is None or before.deficit <= 0 or now_reading.deficit <= 0:
        return 0
    missing = min(before.deficit, now_reading.deficit, limit)
    now = yield from ask(ReadClock())
    candidates: list[JobState] = []
    for priority in PRIORITIES:
        ids = yield from ask(QueuedRows(pool, priority, before.taken_at, 4 * missing + 10))
        candidates.extend((yield from _load_rows(ids)))
    overdue = sorted(
        (
            row
            for row in candidates
            if row.phase == "queued"
            and now - row.published_at >= policy.republish_pause_s(row.publishes)
        ),
        key=lambda row: row.published_at,
    )[:missing]
    return (yield from _publish_as_accepted(overdue, now))


def settle_dead_letter(
    job: Job, reason: str, policy: Policy, place: Place, *, from_quarantine: bool
) -> Steps[str]:
    """What becomes of a message that the broker refuses to deliver again.

    The broker's limit lies above the budget of attempts, so the message was bounced before
    it could be claimed: it goes to quarantine, or to its record if it comes from there or
    the budget is spent. Its letter is acknowledged after that, so it may be read twice: one
    from another queue whose job is in quarantine by now was settled before.
    """
    while True:
        row = yield from ask(LoadState(job.id))
        now = yield from ask(ReadClock())
        if row is not None and (row.is_terminal or row.phase == "running"):
            return "dropped"
        if row is None:
            row = JobState(job=job, phase="accepted", created_at=now)
        if row.is_quarantined and not from_quarantine and row.attempts < policy.max_attempts:
            return "dropped"
        if row.attempts >= policy.max_attempts or row.is_quarantined:
            code = "delivery-limit"
            row = row.but(
                code=row.code or code, reason=row.reason or f"the broker gave up: {reason}"
            )
            yield from finish(row, dead_ending(row), place, RECONCILER)
            return "dead"
        saved = yield from ask(
            SaveState(
                row.but(
                    phase="accepted",
                    suspects=2,
                    published_at=now,
                    updated_at=now,
                    code="delivery-limit",
                    reason=f"the broker gave up: {reason}",
                )
            )
        )
        if saved is not None:
            yield from publish_rows([saved])
            return "quarantined"


def _load_rows(ids: Sequence[str]) -> Steps[list[JobState]]:
    """The rows that exist, in the order of `ids`."""
    if not ids:
        return []
    rows = yield from ask(LoadStates(tuple(ids)))
    return [rows[job_id] for job_id in ids if job_id in rows]


def _publish_as_accepted(rows: Sequence[JobState], now: float) -> Steps[int]:
    """Move rows to `accepted`, publish them, mark them; how many were confirmed.

    A crash in between leaves them `accepted`, for `publish_accepted`.
    """
    if not rows:
        return 0
    saved = yield from ask(
        SaveStates(
            tuple(
                row.but(phase="accepted", published_at=now, updated_at=now, due_at=0.0)
                for row in rows
            )
        )
    )
    replies = yield from publish_rows([row for row in saved if row is not None])
    return sum(replies.values())
