"""What the row of an ended job takes of Redis: `marea capacity` reckons with it."""

from __future__ import annotations

import random

import pytest
import redis
from ledger_states import make_state

from marea.clock import SystemClock
from marea.messages.objects import ObjectRef
from marea.results.redis import RedisLedger
from marea.scaling.capacity_plan import ENDED_BYTES
from marea.settings import LedgerSettings

ROWS = 10_000


def ended_bytes(url: str, key_bytes: int) -> float:
    """Of a row among others, of an upload with names as long as MinIO's."""
    client = redis.Redis.from_url(url)
    clock = SystemClock()
    ledger = RedisLedger(LedgerSettings(url=url), clock)
    now = clock.now()
    names = ("created_at", "published_at", "started_at", "finished_at", "updated_at")
    chance = random.Random(7)
    states = [
        make_state(
            job={
                "ref": ObjectRef(
                    "uploads",
                    f"photos/{number:08}".ljust(key_bytes, "x"),
                    f"0a1b2c3d-4e5f-4a6b-8c7d-{number:012x}",
                    f"{number:032x}",
                    1_842_113,
                ),
                "pipeline": "thumbnail",
                "tenant": "photos",
                "route": "photographs",
            },
            phase="done",
            attempts=1,
            publishes=1,
            # Each its own: how many digits a time has decides on a step of memory.
            **{name: now + later + chance.random() for later, name in enumerate(names)},
        )
        for number in range(ROWS)
    ]
    ledger.save(make_state("first", "done"))
    before = held_bytes(client)
    assert all(ledger.save_many(states))
    return (held_bytes(client) - before) / ROWS


def held_bytes(client: redis.Redis) -> float:
    """Without the buffers of connections, which come and go with other tests' clients."""
    told = client.info("memory")
    return float(told["used_memory"] - told["mem_clients_normal"])


@pytest.mark.parametrize("key_bytes", [60, 200])
def test_an_ended_job_takes_what_capacity_reckons_with(redis_url: str, key_bytes: int) -> None:
    """Tables grow in steps, and so do the pieces of memory that rows are kept in: by 64 bytes."""
    weighed = ended_bytes(redis_url, key_bytes) - key_bytes
    assert 0.9 * ENDED_BYTES < weighed < 1.05 * ENDED_BYTES
