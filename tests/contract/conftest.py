"""Every ledger in turn, memory and a real Redis as its limited user, for the contract suite."""

from __future__ import annotations

from uuid import uuid4

import pytest
from ledger_states import RETENTION_S, START

from marea.clock import FakeClock
from marea.results.ledger import Ledger
from marea.results.memory import MemoryLedger
from marea.results.redis import RedisLedger
from marea.settings import LedgerSettings


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture(params=["memory", "redis"])
def ledger(request: pytest.FixtureRequest, clock: FakeClock) -> Ledger:
    if request.param == "memory":
        return MemoryLedger(clock, RETENTION_S)
    url = request.getfixturevalue("limited_redis_url")
    prefix = f"marea:test-{uuid4().hex[:8]}:"
    return RedisLedger(LedgerSettings(url=url, prefix=prefix, retention_s=RETENTION_S), clock)
