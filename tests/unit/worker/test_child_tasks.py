"""What a child does with a delivery, and what its parent makes of its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Reject

from marea.clock import FakeClock
from marea.errors import LedgerUnavailable
from marea.settings import Settings, WorkerSettings
from marea.worker.request import loss_cause
from marea.worker.tasks import Child

SETTINGS = Settings(
    worker=WorkerSettings(soft_time_limit_s=20.0, retry_backoff_s=1.0, retry_backoff_max_s=60.0)
)


class ScriptedRunner:
    """Does what the next step of its script says."""

    def __init__(self, *script: Callable[[], None]) -> None:
        self.script = list(script)
        self.ran: list[str] = []

    def run(self, job_json: str) -> None:
        self.ran.append(job_json)
        self.script.pop(0)()


def succeed() -> None:
    return


def find_no_ledger() -> None:
    raise LedgerUnavailable("the ledger does not answer")


def run_into_the_soft_limit() -> None:
    raise SoftTimeLimitExceeded


def make_child(runner: ScriptedRunner) -> tuple[Child, FakeClock]:
    clock = FakeClock()
    return Child(SETTINGS, "images@host-1", lambda settings, worker: runner, clock), clock


def rejected(child: Child) -> bool:
    try:
        child.run("{}")
    except Reject as exc:
        return bool(exc.requeue)
    return False


def test_a_job_that_returns_is_acknowledged() -> None:
    runner = ScriptedRunner(succeed)
    child, _clock = make_child(runner)
    child.run("job")
    assert runner.ran == ["job"]


def test_a_job_that_nothing_was_decided_on_goes_back_after_a_pause() -> None:
    child, clock = make_child(ScriptedRunner(find_no_ledger))
    began = clock.now()
    assert rejected(child)
    assert clock.now() - began == 1.0


def test_pauses_double_within_a_jobs_time_and_begin_anew_after_a_success() -> None:
    child, clock = make_child(ScriptedRunner(*[find_no_ledger] * 6, succeed, find_no_ledger))
    pauses = []
    for _ in range(6):
        began = clock.now()
        assert rejected(child)
        pauses.append(clock.now() - began)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0], "capped at half the soft limit of 20 s"
    assert not rejected(child)
    began = clock.now()
    assert rejected(child)
    assert clock.now() - began == 1.0


def test_a_time_limit_outside_the_runner_sends_the_message_back() -> None:
    child, _clock = make_child(ScriptedRunner(run_into_the_soft_limit))
    assert rejected(child)


def test_a_runner_that_cannot_be_built_is_no_fault_of_the_job() -> None:
    runner = ScriptedRunner(succeed)
    attempts: list[int] = []

    def build(settings: Settings, worker: str) -> ScriptedRunner:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("no route to the store")
        return runner

    child = Child(SETTINGS, "images@host-1", build, FakeClock())
    assert rejected(child)
    assert not rejected(child)
    assert len(attempts) == 2


def test_a_runner_is_built_once_per_child() -> None:
    built: list[str] = []
    runner = ScriptedRunner(succeed, succeed)

    def build(settings: Settings, worker: str) -> ScriptedRunner:
        built.append(worker)
        return runner

    child = Child(SETTINGS, "images@host-1", build, FakeClock())
    child.run("one")
    child.run("two")
    assert built == ["images@host-1"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TimeLimitExceeded(150.0), "time-limit", "hard time limit of 150 s"),
        (
            WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 12."),
            "child-killed",
            "SIGKILL (9); most often memory ran out",
        ),
        (
            WorkerLostError("Worker exited prematurely: signal 11 (SIGSEGV) Job: 12."),
            "child-killed",
            "killed by SIGSEGV (11)",
        ),
        (
            WorkerLostError("Worker exited prematurely: signal 24 (SIGXCPU) Job: 12."),
            "cpu-limit",
            "processor time",
        ),
        (WorkerLostError("Worker exited prematurely: exitcode 3 Job: 1."), "child-exited", "3"),
        (SystemExit(3), "child-exited", "SystemExit(3)"),
        (MemoryError(), "memory-limit", "memory"),
        (ZeroDivisionError("division by zero"), "worker-error", "ZeroDivisionError: division"),
    ],
)
def test_a_loss_says_what_took_the_child(error: BaseException, code: str, words: str) -> None:
    found_code, reason = loss_cause(error, 150.0)
    assert found_code == code
    assert words in reason
