"""Real servers for tests: started on first use, one of each per run, ended with the run.

A fixture gives each test a clean place on the shared server: an emptied Redis, a virtual host
of its own. On a laptop a server that cannot be had skips the test and says why; in CI
(`CI=true`) it fails, because a promise that nobody checked is not kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import rabbitmq_rights
import redis
from redis_nodes import make_documented_user, refusals

from marea.errors import ConfigError
from marea.up.minio_server import MinioServer
from marea.up.moto_server import MotoServer
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer
from marea.up.servers import ServerProcess

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
LIMITED_PASSWORD = "limited"
ServerT = TypeVar("ServerT", bound=ServerProcess)


@contextmanager
def server_folder(name: str) -> Iterator[Path]:
    """A short-lived folder that the rabbitmq user can reach too (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix=f"marea-test-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started_server(kind: type[ServerT]) -> Iterator[ServerT]:
    """A server of its own for a test that stops, kills or reconfigures it.

    Skips, or in CI fails, where the server cannot be had.
    """
    with server_folder(kind.name) as folder:
        server = kind(folder / "server")
        try:
            server.start()
        except ConfigError as exc:
            if IN_CI:
                raise
            pytest.skip(str(exc))
        try:
            yield server
        finally:
            server.kill()  # nobody reads the data again, and RabbitMQ takes 6 s to stop


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The run's Redis; leave it running (`started_server` makes one to play with)."""
    with started_server(RedisServer) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Database 0 of the run's Redis, all of whose databases were just emptied."""
    redis_server.flush()
    return redis_server.url()


@pytest.fixture
def limited_redis_url(redis_server: RedisServer, redis_url: str) -> Iterator[str]:
    """As `redis_url`, for the user that docs/redis.md tells to make. What a test does with it
    must be allowed to that user, down to what a library would keep to itself."""
    with redis.Redis.from_url(redis_url) as admin:
        make_documented_user(admin, LIMITED_PASSWORD)
        yield redis_url.replace("redis://", f"redis://marea:{LIMITED_PASSWORD}@")
        assert refusals(admin) == []


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMqServer]:
    """The run's RabbitMQ, with `management_url`; leave it running."""
    with started_server(RabbitMqServer) as server:
        yield server


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMqServer) -> Iterator[str]:
    """A virtual host of the run's RabbitMQ that is the test's own, removed after it."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    yield rabbitmq_server.add_vhost(vhost)
    rabbitmq_server.remove_vhost(vhost)


@pytest.fixture
def limited_rabbitmq_url(rabbitmq_server: RabbitMqServer, rabbitmq_url: str) -> str:
    """As `rabbitmq_url`, for the user and with the policy that docs/rabbitmq.md tells to make."""
    return rabbitmq_rights.make_documented_user(rabbitmq_server, rabbitmq_url.rpartition("/")[2])


@pytest.fixture(scope="session")
def minio() -> Iterator[MinioServer]:
    """The run's MinIO: `endpoint_url`, `access_key`, `secret_key`. Use own bucket names."""
    with started_server(MinioServer) as server:
        yield server


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The run's moto server, which takes any keys. Use own bucket names."""
    with started_server(MotoServer) as server:
        yield server.endpoint_url
