"""Heartbeats, the watch on the broker and the reporter of losses, without Celery."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_states import make_state
from waiting import wait_until

from marea.clock import FakeClock
from marea.errors import BacklogUnavailable, LedgerUnavailable
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState, WorkerBeat
from marea.results.memory import MemoryLedger
from marea.worker.liveness import Pulse, read_liveness
from marea.worker.losses import Loss, LossReporter, build_charge
from marea.worker.parent import BrokerWatch, Heartbeats, Workload

WORKER = "images@host-1"


class LedgerWithOutages(MemoryLedger):
    """Refuses the next `refusals` calls."""

    refusals = 0

    def beat(self, beat: WorkerBeat) -> None:
        self._refuse()
        super().beat(beat)

    def load(self, job_id: str) -> JobState | None:
        self._refuse()
        return super().load(job_id)

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise LedgerUnavailable("the ledger does not answer")


class Parent:
    """Heartbeats over a ledger in memory."""

    def __init__(self, liveness_file: Path | None = None) -> None:
        self.clock = FakeClock()
        self.ledger = LedgerWithOutages(self.clock)
        self.pulse = Pulse(tick=self.clock.now())
        self.workload = Workload(("job-1",), 2)
        self.heartbeats = Heartbeats(
            self.ledger,
            self.clock,
            self.pulse,
            worker=WORKER,
            pool="images",
            slots=2,
            heartbeat_s=0.01,
            lease_s=15.0,
            wedged_after_s=60.0,
            liveness_file=liveness_file,
            workload=lambda: self.workload,
        )

    def seen(self) -> WorkerBeat | None:
        return self.ledger.worker(WORKER, self.clock.now())


def test_a_beat_says_what_the_worker_holds_and_how_long_it_counts() -> None:
    parent = Parent()
    parent.heartbeats.beat()
    assert parent.seen() == WorkerBeat(
        worker=WORKER,
        pool="images",
        slots=2,
        expires_at=parent.clock.now() + 15.0,
        active=("job-1",),
        held=2,
        draining=False,
        started_at=parent.clock.now(),
    )


def test_beats_end_while_the_event_loop_is_wedged_and_go_on_after() -> None:
    parent = Parent()
    parent.pulse.connected(parent.clock.now())
    parent.clock.sleep(61)
    parent.heartbeats.turn()
    assert parent.seen() is None
    parent.pulse.beat(parent.clock.now())
    parent.heartbeats.turn()
    assert parent.seen() is not None


def test_beats_go_on_while_the_broker_is_away() -> None:
    parent = Parent()
    parent.pulse.connected(parent.clock.now())
    parent.pulse.retrying(parent.clock.now())
    parent.clock.sleep(3600)
    parent.heartbeats.turn()
    assert parent.seen() is not None


def test_beats_go_on_while_draining_though_the_loop_no_longer_turns() -> None:
    parent = Parent()
    parent.pulse.connected(parent.clock.now())
    parent.heartbeats.drain()
    parent.clock.sleep(61)
    parent.heartbeats.turn()
    beat = parent.seen()
    assert beat is not None
    assert beat.draining


def test_a_ledger_that_is_away_stops_no_thread() -> None:
    parent = Parent()
    parent.ledger.refusals = 3
    parent.heartbeats.start()
    wait_until(lambda: parent.seen() is not None, "a beat after three refused ones")
    parent.heartbeats.finish()


def test_an_unforeseen_error_stops_no_thread() -> None:
    parent = Parent()
    looks: list[int] = []

    def workload() -> Workload:
        looks.append(1)
        if len(looks) < 3:
            raise RuntimeError("Set changed size during iteration")
        return Workload()

    heartbeats = Heartbeats(
        parent.ledger,
        parent.clock,
        parent.pulse,
        worker=WORKER,
        pool="images",
        slots=2,
        heartbeat_s=0.01,
        lease_s=15.0,
        workload=workload,
    )
    heartbeats.start()
    wait_until(lambda: parent.seen() is not None, "a beat after two errors")
    heartbeats.finish()


def test_a_finished_worker_is_off_the_ledger_and_beats_no_more() -> None:
    parent = Parent()
    parent.heartbeats.start()
    wait_until(lambda: parent.seen() is not None, "the first beat")
    parent.heartbeats.finish()
    assert parent.seen() is None


def test_the_liveness_file_is_written_before_the_ledger_answers(tmp_path: Path) -> None:
    parent = Parent(tmp_path / "alive")
    parent.ledger.refusals = 1
    parent.pulse.waiting_since = 5.0
    parent.heartbeats.turn()
    report = read_liveness(tmp_path / "alive")
    assert (report.broker, report.held, report.slots) == ("retrying", 2, 2)
    assert (report.written_at, report.waiting_since) == (parent.clock.now(), 5.0)


def test_a_liveness_file_that_cannot_be_written_costs_no_heartbeat(tmp_path: Path) -> None:
    parent = Parent(tmp_path / "no-such-folder" / "alive")
    parent.heartbeats.turn()
    assert parent.seen() is not None


class WatchedBroker:
    def __init__(self) -> None:
        self.announced = 0
        self.waiting: int | None = 0
        self.clock = FakeClock()
        self.pulse = Pulse(tick=self.clock.now())
        self.watch = BrokerWatch(
            self.clock,
            self.pulse,
            announce=self.announce,
            count_waiting=self.count,
            interval_s=0.01,
        )

    def announce(self) -> None:
        self.announced += 1

    def count(self) -> int:
        if self.waiting is None:
            raise BacklogUnavailable("not counted")
        return self.waiting


def test_work_waits_since_it_was_first_seen_to_wait() -> None:
    broker = WatchedBroker()
    began = broker.clock.now()
    for waiting, expected in (
        (0, 0.0),
        (3, began + 20),
        (1, began + 20),
        (0, 0.0),
        (2, began + 50),
    ):
        broker.clock.sleep(10)
        broker.waiting = waiting
        broker.watch.turn()
        assert broker.pulse.waiting_since == expected
    assert broker.announced == 5


def test_an_uncounted_queue_is_no_ground_for_a_restart() -> None:
    broker = WatchedBroker()
    broker.waiting = 3
    broker.watch.turn()
    broker.waiting = None
    broker.watch.turn()
    assert broker.pulse.waiting_since == 0.0


def test_the_watch_looks_until_it_is_finished() -> None:
    broker = WatchedBroker()
    broker.watch.start()
    wait_until(lambda: broker.announced >= 2, "two looks")
    broker.watch.finish()


def running_job(ledger: MemoryLedger, *, owner: str = f"{WORKER}#1", attempts: int = 1) -> JobState:
    saved = ledger.save(make_state(phase="running", owner=owner, attempts=attempts))
    assert saved is not None
    return saved


@pytest.mark.parametrize(("attempts", "phase"), [(1, "delayed"), (3, "verdict")])
def test_a_loss_is_charged_with_its_cause(attempts: int, phase: str) -> None:
    clock = FakeClock()
    ledger = MemoryLedger(clock)
    job = running_job(ledger, attempts=attempts).job
    charge = build_charge(ledger, clock, Policy(max_attempts=3), WORKER)
    charge(Loss(job.id, "child-killed", "killed by SIGKILL"))
    row = ledger.load(job.id)
    assert row is not None
    assert (row.phase, row.code, row.reason) == (phase, "child-killed", "killed by SIGKILL")
    assert (row.owner, row.attempts) == ("", attempts)


def test_a_loss_of_a_job_that_another_worker_holds_changes_nothing() -> None:
    clock = FakeClock()
    ledger = MemoryLedger(clock)
    before = running_job(ledger, owner="images@other-2#1")
    build_charge(ledger, clock, Policy(), WORKER)(Loss(before.job.id, "child-killed", "gone"))
    assert ledger.load(before.job.id) == before


def test_a_loss_is_written_once_the_ledger_is_back_and_the_next_follows() -> None:
    clock = FakeClock()
    ledger = LedgerWithOutages(clock)
    first = running_job(ledger).job
    second = ledger.save(make_state("other.jpg", "running", owner=f"{WORKER}#2", attempts=1))
    assert second is not None
    ledger.refusals = 2
    reporter = LossReporter(build_charge(ledger, clock, Policy(), WORKER), clock)
    reporter.start()
    reporter.report(first.id, "time-limit", "too long")
    reporter.report(second.job.id, "child-killed", "killed")
    assert reporter.finish(10)
    rows = ledger.load_many([first.id, second.job.id])
    assert {row.code for row in rows.values()} == {"time-limit", "child-killed"}
    assert clock.now() == FakeClock().now() + 2.0, "it paused between its tries"


def test_a_reporter_says_when_it_could_not_write_everything() -> None:
    clock = FakeClock()
    ledger = LedgerWithOutages(clock)
    ledger.refusals = 10**9
    reporter = LossReporter(build_charge(ledger, clock, Policy(), WORKER), clock)
    reporter.start()
    reporter.report("job-1", "child-killed", "killed")
    assert not reporter.finish(0.05)
    ledger.refusals = 0
    assert reporter.finish(10)
