"""The embedded servers: they keep data over stop and kill, and never outlive their parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import boto3
import kombu
import pytest
import redis
from servers import started_server
from waiting import wait_until

from marea.errors import ConfigError
from marea.up.minio_server import MinioServer
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer
from marea.up.servers import ServerNotReady, stored_secret


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_redis_keeps_acknowledged_writes(ending: str) -> None:
    with started_server(RedisServer) as server:
        redis.Redis.from_url(server.url(3)).set("upload", "accepted")
        getattr(server, ending)()
        assert not server.is_running
        server.start()
        assert redis.Redis.from_url(server.url(3)).get("upload") == b"accepted"


def test_redis_url_fixture_is_empty_in_every_database(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    assert client.info("keyspace") == {}
    client.set("left", "behind")


def test_redis_url_fixture_is_empty_again(redis_url: str) -> None:
    assert redis.Redis.from_url(redis_url).dbsize() == 0


def test_rabbitmq_keeps_durable_messages_when_killed() -> None:
    with started_server(RabbitMqServer) as server:
        url = server.add_vhost("kept")
        _publish(url, "hello")
        # RabbitMQ 3.10 notes a new quorum queue's name with a delay: killed within about a
        # second of the declaration it has the message and can no longer find the queue.
        names = server.folder / "data/marea@localhost/quorum/marea@localhost/names.dets"
        wait_until(lambda: b"kept_work" in names.read_bytes(), "the queue's name is on disk")
        server.kill()
        server.start()
        assert _receive(url) == "hello"


def test_rabbitmq_vhosts_do_not_see_each_other(
    rabbitmq_url: str, rabbitmq_server: RabbitMqServer
) -> None:
    _publish(rabbitmq_url, "mine")
    other = rabbitmq_server.add_vhost("other")
    assert _receive(other) is None
    rabbitmq_server.remove_vhost("other")


def test_rabbitmq_leaves_no_erlang_behind() -> None:
    with started_server(RabbitMqServer) as server:
        group = server.pid
        registry = server._registry.pid
        server.stop()
        assert group is not None
        assert registry is not None
        assert not _is_alive(registry)
        assert not Path(f"/proc/{group}").exists()


def test_minio_keeps_objects_and_keys_over_a_restart() -> None:
    with started_server(MinioServer) as server:
        _s3(server).create_bucket(Bucket="kept")
        _s3(server).put_object(Bucket="kept", Key="a", Body=b"bytes")
        server.restart()
        again = MinioServer(server.folder, server.port)
        assert again.secret_key == server.secret_key
        assert _s3(server).get_object(Bucket="kept", Key="a")["Body"].read() == b"bytes"


def test_a_taken_port_is_named(redis_server: RedisServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"port {redis_server.port} for redis is taken"):
        RedisServer(tmp_path, redis_server.port).start()


def test_a_server_that_exits_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    server = RedisServer(tmp_path)
    with pytest.raises(ServerNotReady, match=r"(?s)redis exited with status .*appendonly"):
        server.start()
    assert not server.is_running


def test_a_server_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from marea.up.redis_server import RedisServer;"
        f"server = RedisServer(pathlib.Path({str(tmp_path)!r})).start();"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        server_pid = int(parent.stdout.readline())
        assert _is_alive(server_pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not _is_alive(server_pid), "the server ended with its parent")


def test_a_stored_secret_is_private_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "secret"
    secret = stored_secret(file)
    assert stored_secret(file) == secret
    assert len(secret) >= 32
    assert file.stat().st_mode & 0o077 == 0


def _s3(server: MinioServer):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


def _publish(url: str, text: str) -> None:
    with kombu.Connection(url, transport_options={"confirm_publish": True}) as connection:
        queue = kombu.Queue("work", durable=True, queue_arguments={"x-queue-type": "quorum"})
        bound = queue(connection.channel())
        bound.declare()
        connection.Producer().publish(text, routing_key="work", delivery_mode=2)


def _receive(url: str) -> str | None:
    with kombu.Connection(url) as connection:
        queue = kombu.Queue("work", durable=True, queue_arguments={"x-queue-type": "quorum"})
        bound = queue(connection.channel())
        bound.declare()
        message = bound.get(no_ack=True)
        return None if message is None else message.payload


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not reaped yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"
