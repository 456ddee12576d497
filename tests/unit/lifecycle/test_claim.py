"""Claims: who may run a delivered job, and what a lost one costs."""

from __future__ import annotations

from typing import Any

import pytest

from marea.lifecycle.claim import (
    ClaimDecision,
    Delay,
    Drop,
    GiveUp,
    Quarantine,
    Resume,
    Run,
    decide_claim,
)
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState, WorkerBeat
from marea.messages.job import Job
from marea.messages.objects import ObjectRef

NOW = 1_000_000.0
POLICY = Policy()
JOB = Job(ObjectRef("uploads", "photo.jpg", "v1", "e", 10), "grayscale", "images")
OTHER = "images@other-1#aa"
ME = "images@me-1#bb"


def row(**changes: Any) -> JobState:
    return JobState(job=JOB, phase="queued", rev=3, published_at=NOW - 10).but(**changes)


def beat(active: tuple[str, ...] = (JOB.id,), expires_in_s: float = 10.0) -> WorkerBeat:
    return WorkerBeat("images@other-1", "images", 2, NOW + expires_in_s, active)


def decide(
    state: JobState | None, beat: WorkerBeat | None = None, *, in_quarantine: bool = False,
    job: Job = JOB,
) -> ClaimDecision:  # fmt: skip
    return decide_claim(
        state, job, beat=beat, owner=ME, in_quarantine=in_quarantine, now=NOW, policy=POLICY
    )


def test_a_queued_job_is_run_and_charged() -> None:
    decision = decide(row(attempts=1))
    assert isinstance(decision, Run)
    assert decision.state.attempts == 2
    assert decision.state.owner == ME


def test_a_job_that_the_ledger_forgot_is_run() -> None:
    decision = decide(None)
    assert isinstance(decision, Run)
    assert decision.state.rev == 0


@pytest.mark.parametrize("phase", ["done", "superseded", "rejected", "dead", "cancelled", "gone"])
def test_an_ended_job_is_dropped(phase: str) -> None:
    assert isinstance(decide(row(phase=phase)), Drop)


def test_a_live_claim_of_another_worker_is_respected() -> None:
    running = row(phase="running", owner=OTHER, attempts=1, started_at=NOW - 60)
    assert isinstance(decide(running, beat()), Drop)


def test_a_claim_too_young_for_a_beat_is_respected() -> None:
    running = row(phase="running", owner=OTHER, attempts=1, started_at=NOW - 1)
    assert isinstance(decide(running, beat(active=())), Drop)


def test_a_claim_older_than_the_hard_limit_is_over_whatever_the_beat_says() -> None:
    running = row(phase="running", owner=OTHER, attempts=1, started_at=NOW - 200)
    assert isinstance(decide(running, beat()), Run)


def test_my_own_claim_whose_reply_was_lost_is_resumed_uncharged() -> None:
    running = row(phase="running", owner=ME, attempts=1, started_at=NOW)
    assert decide(running) == Resume(running)


def test_a_lost_child_stays_charged() -> None:
    running = row(phase="running", owner=OTHER, attempts=1, started_at=NOW - 60)
    decision = decide(running, beat(active=()))
    assert isinstance(decision, Run)
    assert decision.state.attempts == 2
    assert decision.state.suspects == 0


def test_a_lost_worker_is_suspected_and_not_charged() -> None:
    running = row(phase="running", owner=OTHER, attempts=1, started_at=NOW - 60)
    decision = decide(running, beat(expires_in_s=-1))
    assert isinstance(decision, Run)
    assert decision.state.attempts == 1  # refunded, then charged for this start
    assert decision.state.suspects == 1


def test_the_second_lost_worker_sends_the_job_to_quarantine() -> None:
    running = row(phase="running", owner=OTHER, attempts=1, suspects=1, started_at=NOW - 60)
    decision = decide(running)
    assert isinstance(decision, Quarantine)
    assert decision.state.suspects == 2


def test_a_loss_in_quarantine_is_charged_until_the_budget_is_spent() -> None:
    running = row(phase="running", owner=OTHER, attempts=2, suspects=2, started_at=NOW - 60)
    again = decide(running, in_quarantine=True)
    assert isinstance(again, Run)
    assert again.state.attempts == 3
    spent = decide(running.but(attempts=3), in_quarantine=True)
    assert isinstance(spent, GiveUp)
    assert "replay" in spent.reason


def test_a_spent_budget_is_given_up_with_the_last_reason() -> None:
    decision = decide(row(attempts=3, code="child-killed", reason="the child was killed"))
    assert isinstance(decision, GiveUp)
    assert decision.code == "child-killed"
    assert "the child was killed" in decision.reason


def test_a_delayed_row_is_left_to_the_delayed_set() -> None:
    assert isinstance(decide(row(phase="delayed", due_at=NOW + 5)), Drop)


def test_a_job_before_its_time_is_delayed() -> None:
    job = Job(JOB.ref, JOB.pipeline, JOB.pool, not_before=NOW + 100)
    decision = decide(row(job=job), job=job)
    assert isinstance(decision, Delay)
    assert decision.state.due_at == NOW + 100


def test_a_beat_from_before_the_claim_does_not_charge_a_job_for_its_lost_worker() -> None:
    """The worker claimed, and died before it was heard of again: its lease decides."""
    claimed_at = NOW - POLICY.claim_grace_s - 1
    running = row(phase="running", owner=OTHER, attempts=1, started_at=claimed_at)
    last_beat_at = claimed_at + POLICY.heartbeat_s - 1
    silent = beat(active=(), expires_in_s=last_beat_at + POLICY.lease_s - NOW)
    assert isinstance(decide(running, silent), Drop)
    decision = decide(running, beat=None)
    assert isinstance(decision, Run)
    assert (decision.state.attempts, decision.state.suspects) == (1, 1)


def test_a_young_claim_is_respected_while_its_worker_has_yet_to_beat() -> None:
    """As after the loss of the ledger: the row is new, the worker's next beat is to come."""
    running = row(phase="running", owner=OTHER, attempts=1, started_at=NOW - 4)
    assert isinstance(decide(running, beat=None), Drop)
    older = running.but(started_at=NOW - POLICY.claim_grace_s)
    assert isinstance(decide(older, beat=None), Run)
