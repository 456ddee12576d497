"""How a job ends: its record tells how long it had waited, if anybody knows."""

from __future__ import annotations

from marea.clock import FakeClock
from marea.lifecycle import effects as fx
from marea.lifecycle.finish import Ending, Place, finish
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.messages.record import Record
from marea.perform import Performer, Ports
from marea.queues.memory import MemoryBroker
from marea.results.memory import MemoryLedger
from marea.storage.memory import MemoryObjectStore
from tests.simulation.world import RESERVED, RESULTS, SOURCE

PLACE = Place(RESULTS, RESERVED)
WORKER = "images@w1"
ACCEPTED_AT = 1_000_000.0


class Bench:
    """A store with both buckets, a ledger, and the row of one job."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryObjectStore(self.clock)
        self.store.create_bucket(SOURCE, versioned=True)
        self.store.create_bucket(RESULTS, versioned=True)
        ledger = MemoryLedger(self.clock)
        self.performer = Performer(Ports(self.clock, self.store, ledger, MemoryBroker(), {}))
        self.job = Job(self.store.upload(SOURCE, "photo", b"x"), "gray", "images")

    def finished(self, ending: Ending, **times: float) -> Record:
        """The record as it is stored."""
        row = JobState(self.job, "running", attempts=1, owner=f"{WORKER}#t", **times)
        steps: fx.Steps[Record] = finish(row, ending, PLACE, WORKER)
        record = self.performer.run(steps)
        head = self.store.head(RESULTS, PLACE.record_key(self.job))
        assert head is not None
        assert Record.from_json(self.store.get(head.ref).data) == record
        return record


def test_a_record_tells_how_long_its_job_waited_beside_its_other_times() -> None:
    ending = Ending("done", timings_s={"fetch": 0.25})
    record = Bench().finished(ending, created_at=ACCEPTED_AT, started_at=ACCEPTED_AT + 3.5)
    assert record.timings_s == {"waited": 3.5, "fetch": 0.25}
    assert record.worker == WORKER


def test_a_rejection_tells_it_too() -> None:
    ending = Ending("rejected", "not-an-image", "it is none")
    record = Bench().finished(ending, created_at=ACCEPTED_AT, started_at=ACCEPTED_AT + 2)
    assert record.timings_s == {"waited": 2.0}


def test_a_job_that_never_started_did_not_wait_for_its_start() -> None:
    record = Bench().finished(Ending("dead", "expired"), created_at=ACCEPTED_AT)
    assert "waited" not in record.timings_s


def test_a_row_that_the_ledger_lost_does_not_say_when_its_job_was_accepted() -> None:
    """It is made anew by the claim, so both of its times are that of the claim."""
    for times in ({"started_at": ACCEPTED_AT}, dict.fromkeys(("created_at", "started_at"), 9.0)):
        bench = Bench()
        assert "waited" not in bench.finished(Ending("done"), **times).timings_s


def test_clocks_that_differ_make_no_negative_wait() -> None:
    record = Bench().finished(Ending("done"), created_at=ACCEPTED_AT, started_at=ACCEPTED_AT - 1)
    assert record.timings_s["waited"] == 0.0
