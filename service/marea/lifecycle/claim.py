"""May this worker run this job now? (design rules 7, 8 and 9)

Pure: the ledger's row, the owner's last beat and the time in; a decision out. The caller
writes the decision by compare-and-swap, and asks again when that loses.
"""

from __future__ import annotations

from dataclasses import dataclass

from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState, WorkerBeat
from marea.messages.job import Job

OWNER_SEPARATOR = "#"
"""An owner is `worker#token`; the token tells one delivery of a message from another."""


@dataclass(frozen=True, slots=True)
class Run:
    """Save `state` (running, charged); then work."""

    state: JobState


@dataclass(frozen=True, slots=True)
class Resume:
    """The claim is already ours: an earlier save was applied though its reply was lost."""

    state: JobState


@dataclass(frozen=True, slots=True)
class Drop:
    """Acknowledge the message; the ledger's row carries the job on, or it is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delay:
    """Save `state` (delayed until its due time), acknowledge."""

    state: JobState


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Save `state`, publish to the quarantine queue, acknowledge."""

    state: JobState


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The attempts are spent: write the `dead` record."""

    state: JobState
    code: str
    reason: str


ClaimDecision = Run | Resume | Drop | Delay | Quarantine | GiveUp


def owner_name(worker: str, token: str) -> str:
    return f"{worker}{OWNER_SEPARATOR}{token}"


def owner_worker(owner: str) -> str:
    """The worker behind an owner."""
    return owner.split(OWNER_SEPARATOR, 1)[0]


def is_claim_live(state: JobState, beat: WorkerBeat | None, now: float, policy: Policy) -> bool:
    """Whether the owner of a running job is still at it.

    Its worker must be live, and name the job among its active ones unless the last beat came
    too soon after the claim to do so: such a beat proves nothing, for the whole worker may
    have died since, which is not the job's fault; its lease tells. A claim older than the hard
    time limit (and a beat) is over whatever the beat says: its child has been killed. Without
    a beat the claim is given the time of two: the ledger may have been emptied just now, and
    each running job would otherwise be run a second time and become a suspect.
    """
    if state.phase != "running":
        return False
    age_s = now - state.started_at
    if beat is None or now >= beat.expires_at:
        return age_s < policy.claim_grace_s
    if age_s > policy.hard_time_limit_s + policy.claim_grace_s:
        return False
    if state.job.id in beat.active or age_s < policy.claim_grace_s:
        return True
    sent_at = beat.expires_at - policy.lease_s
    return sent_at < state.started_at + policy.heartbeat_s


def after_lost_worker(state: JobState) -> JobState:
    """The accounting of a whole worker that vanished while running the job (rule 9).

    Uncharged and `suspect`, because the job may be a bystander of its neighbour's crash; in
    quarantine it ran alone, and there the loss stays charged.
    """
    if state.is_quarantined:
        return state.but(
            owner="", code="worker-lost", reason="the worker vanished while running it alone"
        )
    return state.but(
        owner="",
        attempts=max(0, state.attempts - 1),
        suspects=state.suspects + 1,
        code="worker-lost",
        reason="the worker vanished while running it",
    )


def why_given_up(state: JobState) -> tuple[str, str]:
    """Code and sentence for the `dead` record of a job whose attempts are spent."""
    return state.code or "attempts-spent", (
        f"given up after {state.attempts} attempts: {state.reason or 'each was lost'};"
        " replay it with `marea dead replay` once the cause is mended"
    )


def decide_claim(
    state: JobState | None,
    job: Job,
    *,
    beat: WorkerBeat | None,
    owner: str,
    in_quarantine: bool,
    now: float,
    policy: Policy,
) -> ClaimDecision:
    """What to do with a delivered message of `job`.

    `state` is the ledger's row (None: unknown, e.g. the ledger was lost); `beat` the last
    live beat of the row's owner; `owner` what this delivery would write into the row.
    """
    if state is None:
        state = JobState(job=job, phase="accepted", created_at=now, published_at=now)
    if state.is_terminal:
        return Drop(f"already {state.phase}")
    if state.phase == "running":
        if state.owner == owner:
            return Resume(state)
        if is_claim_live(state, beat, now, policy):
            return Drop(f"running on {owner_worker(state.owner)}; watched until its lease ends")
        if beat is not None and now < beat.expires_at:
            # The worker lives and its child does not: its parent's report did not arrive.
            state = state.but(owner="", code="child-lost", reason="the process running it died")
        else:
            state = after_lost_worker(state)
    elif state.phase == "delayed" and state.due_at > now:
        return Drop("delayed; it will be published again when it is due")
    if state.attempts >= policy.max_attempts:
        return GiveUp(state, *why_given_up(state))
    if state.job.not_before > now:
        return Delay(state.but(phase="delayed", due_at=state.job.not_before, updated_at=now))
    if state.is_quarantined and not in_quarantine:
        return Quarantine(
            state.but(
                phase="queued", published_at=now, updated_at=now, publishes=state.publishes + 1
            )
        )
    return Run(
        state.but(
            phase="running",
            owner=owner,
            attempts=state.attempts + 1,
            started_at=now,
            updated_at=now,
            due_at=0.0,
        )
    )
