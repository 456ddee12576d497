"""What the memory ledger owes beyond the contract: bounds, and a clock that jumps."""

from __future__ import annotations

import pytest
from ledger_states import START, make_state

from marea.clock import FakeClock
from marea.errors import LedgerUnavailable
from marea.results import memory
from marea.results.memory import MemoryLedger


def test_cuts_off_a_watcher_that_falls_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WATCH_BACKLOG", 3)
    ledger = MemoryLedger(FakeClock(START))
    slow, fast = ledger.watch(poll_s=0.01), ledger.watch(poll_s=0.01)
    seen = []
    for number in range(5):
        ledger.save(make_state(str(number)))
        seen.append(next(fast))
    assert [next(slow) for _ in range(3)] == seen[:3]
    with pytest.raises(LedgerUnavailable):
        next(slow)
    assert next(fast) is None


def test_counts_no_expired_job_after_the_clock_was_set_back() -> None:
    clock = FakeClock(START)
    ledger = MemoryLedger(clock, retention_s=60)
    ledger.save(make_state("ahead", "done"))
    clock.set(START - 1000)
    ledger.save(make_state("behind", "done"))
    clock.set(START - 900)
    assert ledger.phase_counts()["done"] == 1
    assert [state.job.ref.key for state in ledger.page(phase="done").states] == ["ahead"]
    clock.set(START + 60)
    assert ledger.page().states == ()
