"""Which broker and ledger a worker process is tried with."""

from __future__ import annotations

import pytest

from marea.up.redis_server import RedisServer


@pytest.fixture(params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest, redis_url: str) -> str:
    return redis_url if request.param == "redis" else request.getfixturevalue("rabbitmq_url")


@pytest.fixture
def ledger_url(redis_url: str, redis_server: RedisServer) -> str:
    return redis_server.url(1)
