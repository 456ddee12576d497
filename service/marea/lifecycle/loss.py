"""A child process that died under a job while its parent lives: charged (design rule 9).

Run by the parent, which writes the ledger only; a spent budget becomes `verdict`, and the
reconciler writes the record.
"""

from __future__ import annotations

from marea.lifecycle.claim import owner_worker
from marea.lifecycle.effects import LoadState, ReadClock, SaveState, Steps, ask
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState


def charge_loss(
    job_id: str, worker: str, code: str, reason: str, policy: Policy
) -> Steps[JobState | None]:
    """Take the job out of `running` if `worker` holds it; the row as saved, None if not.

    `code` is stable, e.g. `child-killed` or `time-limit`; `reason` a sentence.
    """
    while True:
        row = yield from ask(LoadState(job_id))
        if row is None or row.phase != "running" or owner_worker(row.owner) != worker:
            return None
        now = yield from ask(ReadClock())
        if row.attempts >= policy.max_attempts:
            changed = row.but(phase="verdict", due_at=0.0)
        else:
            changed = row.but(phase="delayed", due_at=now + policy.backoff_s(row.attempts))
        saved = yield from ask(
            SaveState(changed.but(owner="", updated_at=now, code=code, reason=reason))
        )
        if saved is not None:
            return saved
