"""Random walks of a few jobs, on the memory ledger and on a real Redis at once.

Whatever the transitions, and however many of them lose their compare-and-swap, both answer
every question alike: an index that drifts on either side shows here.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_states import START, make_state

from marea.clock import FakeClock
from marea.lifecycle.state import OPEN_PHASES, JobState, Phase
from marea.messages.job import PRIORITIES
from marea.messages.record import TERMINAL_STATES
from marea.results.ledger import Ledger
from marea.results.memory import MemoryLedger
from marea.results.redis import RedisLedger
from marea.settings import LedgerSettings

RETENTION_S = 100.0
PHASES: tuple[Phase, ...] = (*OPEN_PHASES, *TERMINAL_STATES)
TENANTS = ("acme", "", 'ze"\t')
POOLS = ("images", "tables")
# Few enough that jobs meet in one index, share scores, and are saved again and again.
JOBS = [
    (
        str(number),
        {"pool": POOLS[number % 2], "priority": PRIORITIES[number // 3], "tenant": tenant},
    )
    for number, tenant in enumerate(TENANTS * 2)
]
moments = st.sampled_from([START - 1, START, START + 0.5, START + 1])
saves = st.fixed_dictionaries(
    {
        "job": st.sampled_from(JOBS),
        "is_stale": st.sampled_from([False, False, False, True]),
        "phase": st.sampled_from(PHASES),
        "suspects": st.sampled_from([0, 0, 0, 2]),
        "owner": st.sampled_from(["", "w1", "w2"]),
        "created_at": moments,
        "published_at": moments,
        "started_at": moments,
        "due_at": moments,
        "updated_at": moments,
    }
)
pauses = st.sampled_from([1.0, 60.0])


def observations(ledger: Ledger) -> dict[str, Any]:
    """Everything that can be asked of jobs."""
    lanes = [(pool, priority) for pool in (*POOLS, "quarantine") for priority in PRIORITIES]
    return {
        "due": ledger.due(START + 0.5, 9),
        "verdicts": ledger.verdicts(9),
        "accepted": ledger.accepted(updated_before=START + 1, limit=9),
        "queued": [ledger.queued(*lane, published_before=START + 1, limit=9) for lane in lanes],
        "started": [ledger.last_started_publish(*lane) for lane in lanes],
        "running": ledger.running(),
        "open": ledger.open_counts(),
        "phases": ledger.phase_counts(),
        "tenants": ledger.tenant_counts(),
        "waiting": [(each, ledger.waiting(each, 9)) for each in ledger.waiting_tenants()],
        "pages": [paged(ledger, phase) for phase in (None, *PHASES)],
    }


def paged(ledger: Ledger, phase: Phase | None) -> list[JobState]:
    states: list[JobState] = []
    cursor = None
    while True:
        page = ledger.page(phase=phase, cursor=cursor, limit=2)
        states += page.states
        cursor = page.cursor
        if cursor is None:
            return states


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.one_of(saves, saves, saves, pauses), max_size=40))
def test_memory_and_redis_answer_alike_after_any_saves(
    redis_url: str, steps: list[dict[str, Any] | float]
) -> None:
    clock = FakeClock(START)
    memory = MemoryLedger(clock, RETENTION_S)
    redis = RedisLedger(
        LedgerSettings(url=redis_url, prefix=f"walk-{uuid4().hex}:", retention_s=RETENTION_S),  # type: ignore[arg-type]
        clock,
    )
    for step in steps:
        if isinstance(step, float):
            clock.sleep(step)
            continue
        fields = dict(step)
        key, job = fields.pop("job")
        is_stale = fields.pop("is_stale")
        state = make_state(key, job=job, **fields)
        known = memory.load(state.job.id)
        rev = (known.rev if known else 0) + (1 if is_stale else 0)
        replies = [ledger.save(state.but(rev=rev)) for ledger in (memory, redis)]
        assert replies[0] == replies[1]
        assert (replies[0] is None) == is_stale
    assert observations(redis) == observations(memory)
