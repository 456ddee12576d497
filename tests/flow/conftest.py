"""Platforms on real servers, each with buckets, queues and ledger of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from marea.settings import load_settings
from marea.up.minio_server import MinioServer
from marea.up.redis_server import RedisServer
from tests.flow.flow_platform import FlowPlatform

RULES = """
rules:
  - name: web
    when: {prefix: web/}
    pipelines: [web]
  - name: typed
    when: {prefix: typed/, content_type: "image/*"}
    pipelines: [thumbnail]
  - name: photos
    when: {suffix: .jpg}
    pipelines: [grayscale]
"""

StartPlatform = Callable[..., FlowPlatform]


@pytest.fixture(params=("redis", "rabbitmq"))
def start_platform(request: pytest.FixtureRequest) -> StartPlatform:
    """`start_platform(**overrides)` on each broker; see `_starter`."""
    return cast(StartPlatform, request.getfixturevalue(f"start_on_{request.param}"))


@pytest.fixture
def start_on_redis(
    redis_server: RedisServer, redis_url: str, minio: MinioServer, tmp_path: Path
) -> Iterator[StartPlatform]:
    with _starter(redis_url, redis_server, minio, tmp_path) as start:
        yield start


@pytest.fixture
def start_on_rabbitmq(
    rabbitmq_url: str,
    redis_server: RedisServer,
    redis_url: str,  # empties the ledger's server
    minio: MinioServer,
    tmp_path: Path,
) -> Iterator[StartPlatform]:
    with _starter(rabbitmq_url, redis_server, minio, tmp_path) as start:
        yield start


@pytest.fixture
def platform(start_platform: StartPlatform) -> FlowPlatform:
    """One with the default settings."""
    return start_platform()


@contextmanager
def _starter(
    broker_url: str, redis_server: RedisServer, minio: MinioServer, folder: Path
) -> Iterator[StartPlatform]:
    """Starts platforms with overrides nested like the settings, and closes them. The ledger
    is on Redis whatever the broker is."""
    rules_file = folder / "rules.yaml"
    rules_file.write_text(RULES)
    started: list[FlowPlatform] = []

    def start(**overrides: Any) -> FlowPlatform:
        token = uuid.uuid4().hex[:12]
        sections: dict[str, Any] = {
            "broker": {"url": broker_url},
            "ledger": {"url": redis_server.url(1), "prefix": f"{token}:"},
            "store": {
                "endpoint_url": minio.endpoint_url,
                "access_key": minio.access_key,
                "secret_key": minio.secret_key,
                "source_buckets": [f"uploads-{token}"],
                "results_bucket": f"results-{token}",
            },
            "rules_file": rules_file,
        }
        for name, section in overrides.items():
            sections[name] = {**sections.get(name, {}), **section}
        platform = FlowPlatform(load_settings({}, overrides=sections), folder)
        started.append(platform)
        return platform

    try:
        yield start
    finally:
        for platform in started:
            platform.close()
