"""Decisions in the ledger: read back as they were written, and acted upon only while fresh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.clock import FakeClock
from marea.results.decisions import (
    STALE_AFTER_S,
    Decisions,
    DecisionUnknown,
    PoolUnknown,
    history_of,
    known_decisions,
    needed,
    past_decisions,
    read_decisions,
    write_decisions,
)
from marea.results.memory import MemoryLedger
from marea.scaling.decision import Adopted, Decision

NAMES = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True)
COUNTS = st.none() | st.integers(0, 1000)
DECISIONS = st.builds(
    Decision,
    pool=NAMES,
    at=st.floats(0, 4e9),
    replicas=COUNTS,
    limiter=st.sampled_from(("drain", "hold", "max")),
    reason=st.text(),
    wanted=COUNTS,
    inputs=st.dictionaries(NAMES, st.integers() | st.floats(0, 1e9) | st.booleans()),
    bounds=st.dictionaries(NAMES, st.floats(0, 1e9)),
    adopted=st.none() | st.builds(Adopted, st.integers(0), st.integers(0), st.floats(0, 4e9)),
    applied=COUNTS,
)


@given(st.floats(0, 4e9), st.sampled_from(("builtin", "keda")), st.dictionaries(NAMES, DECISIONS))
def test_what_was_written_is_read_back(at: float, mode: str, pools: dict[str, Decision]) -> None:
    ledger = MemoryLedger(FakeClock())
    written = Decisions(at, mode, pools)
    write_decisions(ledger, written)
    assert read_decisions(ledger) == written


@given(DECISIONS, st.floats(-1e6, 1e6))
def test_a_number_is_known_only_if_it_is_fresh_and_not_held(decision: Decision, age: float) -> None:
    now = decision.at + age
    is_fresh = abs(now - decision.at) <= STALE_AFTER_S
    if is_fresh and not decision.is_hold and decision.replicas is not None:
        assert needed(decision, now) == decision.replicas
    else:
        with pytest.raises(DecisionUnknown) as refused:
            needed(decision, now)
        assert refused.value.code == ("pool-held" if is_fresh else "decision-stale")


def test_decisions_are_forgotten_after_a_day() -> None:
    clock = FakeClock()
    ledger = MemoryLedger(clock)
    write_decisions(ledger, Decisions(clock.now(), "none", {}))
    clock.sleep(86_399)
    assert known_decisions(ledger).pools == {}
    clock.sleep(2)
    assert read_decisions(ledger) is None
    with pytest.raises(DecisionUnknown, match="nobody has sized any pool yet"):
        known_decisions(ledger)


def test_a_pool_that_is_sized_and_has_no_history_is_no_error() -> None:
    ledger = MemoryLedger(FakeClock())
    decision = Decision("images", 1.0, 3, "drain", "so many")
    write_decisions(ledger, Decisions(1.0, "builtin", {"images": decision}))
    assert past_decisions(ledger, "images", 10) == []
    with pytest.raises(PoolUnknown, match="there is no pool 'image'; there are images"):
        past_decisions(ledger, "image", 10)


def test_an_entry_of_the_history_that_cannot_be_read_is_told() -> None:
    ledger = MemoryLedger(FakeClock())
    ledger.note(history_of("images"), {"at": "yesterday"})
    with pytest.raises(DecisionUnknown, match="cannot be read") as refused:
        past_decisions(ledger, "images", 10)
    assert refused.value.code == "decision-unreadable"
