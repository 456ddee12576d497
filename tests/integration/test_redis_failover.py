"""A primary that dies with what no replica had, under gateway, worker and reconciler."""

from __future__ import annotations

import functools
import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis_nodes import RedisNode
from servers import server_folder
from waiting import wait_until

from loadtest.collect import StoreAddress, open_client
from loadtest.platform import run_audit
from marea.clock import SystemClock
from marea.lifecycle.state import JobState
from marea.queues.redis import RedisBroker
from marea.results.redis import RedisLedger
from marea.settings import load_settings
from marea.up.minio_server import MinioServer
from marea.up.processes import Child
from marea.up.servers import free_port
from tests.flow.photos import photo

pytestmark = pytest.mark.timeout(120)
PRIMARY = "mymaster"
EVENT_TOKEN = "told"
WAIT_S = 45.0
"""For any one step: three processes import for seconds each on two busy cores."""
SENTINEL_LINES = (
    "sentinel monitor {name} 127.0.0.1 {port} 1",
    # About as short as a sentinel can tell: it asks each second.
    "sentinel down-after-milliseconds {name} 1000",
    "sentinel failover-timeout {name} 5000",
)


@dataclass
class Redises:
    """A primary with one replica, and a sentinel. Agreeing takes sentinels longer than a test
    may take, and is theirs; that one of them is away is ours."""

    primary: RedisNode
    replica: RedisNode
    sentinel: RedisNode

    def url(self, database: int) -> str:
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{self.sentinel.port}"
        return f"redis+sentinel://{hosts}/{PRIMARY}/{database}"

    def cut_off_the_replica(self) -> None:
        """From now on the primary confirms what nobody else has."""
        assert self.replica.pid is not None
        os.kill(self.replica.pid, signal.SIGSTOP)
        with redis.Redis(port=self.primary.port) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")

    def kill_the_primary(self) -> None:
        self.primary.kill()
        assert self.replica.pid is not None
        os.kill(self.replica.pid, signal.SIGCONT)


def ask(node: RedisNode, section: str) -> dict[str, Any]:
    with redis.Redis(port=node.port, socket_timeout=2) as client:
        answer: dict[str, Any] = client.info(section)
        return answer


@pytest.fixture
def redises() -> Iterator[Redises]:
    with ExitStack() as stack:

        def start(name: str, *lines: str) -> RedisNode:
            node = RedisNode(folder / name, lines).start()
            stack.callback(node.kill)
            return node

        folder = stack.enter_context(server_folder("failover"))
        # A replica that starts to follow waits for others to come, 5 s by default.
        primary = start("primary", "repl-diskless-sync-delay 0")
        replica = start("replica", f"replicaof 127.0.0.1 {primary.port}")
        wait_until(
            lambda: ask(replica, "replication")["master_link_status"] == "up",
            "the replica follows",
        )
        lines = [line.format(name=PRIMARY, port=primary.port) for line in SENTINEL_LINES]
        sentinel = start("sentinel", *lines)
        wait_until(lambda: knows_the_replica(sentinel), "the sentinel knows both")
        yield Redises(primary, replica, sentinel)


def knows_the_replica(sentinel: RedisNode) -> bool:
    with redis.Redis(port=sentinel.port) as client:
        return bool(client.sentinel_masters()[PRIMARY]["num-slaves"] == 1)


class Platform:
    """A gateway, a worker and a reconciler, and who uploads to them."""

    def __init__(self, redises: Redises, minio: MinioServer, folder: Path) -> None:
        token = uuid.uuid4().hex[:8]
        self.source, self.results = f"failover-up-{token}", f"failover-results-{token}"
        self.address = f"http://127.0.0.1:{(port := free_port())}"
        self.environment = {
            "MAREA_BROKER__URL": redises.url(0),
            "MAREA_LEDGER__URL": redises.url(1),
            "MAREA_STORE__ENDPOINT_URL": minio.endpoint_url,
            "MAREA_STORE__ACCESS_KEY": minio.access_key,
            "MAREA_STORE__SECRET_KEY": minio.secret_key,
            "MAREA_STORE__SOURCE_BUCKETS": json.dumps([self.source]),
            "MAREA_STORE__RESULTS_BUCKET": self.results,
            "MAREA_GATEWAY__PORT": str(port),
            "MAREA_GATEWAY__EVENT_TOKEN": EVENT_TOKEN,
            "MAREA_WORKER__HEARTBEAT_S": "1",
            "MAREA_WORKER__LEASE_S": "3",
            "MAREA_RECONCILER__SWEEP_INTERVAL_S": "2",
            "MAREA_RECONCILER__SWEEP_GRACE_S": "1",
        }
        self.settings = load_settings(self.environment)
        self.environment_file = folder / "marea.env"
        self.environment_file.write_text(
            "".join(f"{name}='{text}'\n" for name, text in self.environment.items())
        )
        self.ledger = RedisLedger(self.settings.ledger, SystemClock())
        self.broker = RedisBroker(self.settings)
        self.client = open_client(
            StoreAddress(minio.endpoint_url, minio.access_key, minio.secret_key)
        )
        for bucket in (self.source, self.results):
            self.client.create_bucket(Bucket=bucket)
            self.client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        self.children = {
            verb: Child(verb, (verb,), self.environment, folder / f"{verb}.log", 30.0)
            for verb in ("gateway", "worker", "reconciler")
        }

    def upload(self, *numbers: int) -> None:
        """Puts photos, and sends their events until the gateway takes each, as stores do."""
        for number in numbers:
            key, body = f"{number}.jpg", photo(number)
            put = self.client.put_object(Bucket=self.source, Key=key, Body=body)
            stored = {
                "key": key,
                "size": len(body),
                "eTag": put["ETag"].strip('"'),
                "versionId": put["VersionId"],
                "sequencer": uuid.uuid4().hex[:16],
            }
            record = {
                "eventVersion": "2.0",
                "eventSource": "minio:s3",
                "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
                "eventName": "s3:ObjectCreated:Put",
                "s3": {"bucket": {"name": self.source}, "object": stored},
            }
            event = json.dumps({"EventName": record["eventName"], "Records": [record]}).encode()
            accepts = functools.partial(self._accepts, event)
            wait_until(accepts, "the gateway accepts", timeout_s=WAIT_S)

    def _accepts(self, event: bytes) -> bool:
        login = {"Authorization": f"Bearer {EVENT_TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/events/s3", event, login)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return bool(answer.status < 300)
        except urllib.error.HTTPError as exc:
            if exc.code != 503:
                raise
            return False

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=15) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def rows(self) -> dict[str, JobState]:
        page = self.ledger.page(limit=1000)
        return {state.job.ref.key: state for state in page.states}

    def wait_for_results(self, count: int) -> None:
        def results() -> int:
            pages = self.client.list_objects_v2(Bucket=self.results).get("Contents", [])
            return sum(1 for row in pages if not row["Key"].startswith(".marea/"))

        wait_until(lambda: results() == count, f"{count} results", timeout_s=WAIT_S)

    @contextmanager
    def frozen(self, *verbs: str) -> Iterator[None]:
        pids = [pid for verb in verbs if (pid := self.children[verb].pid) is not None]
        assert len(pids) == len(verbs)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def logs(self) -> str:
        return "\n".join(child.log_file.read_text()[-3000:] for child in self.children.values())


@pytest.fixture
def platform(redises: Redises, minio: MinioServer, tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(redises, minio, tmp_path)
    for child in platform.children.values():
        child.spawn()
    try:
        wait_until(platform.is_ready, "the gateway is ready", timeout_s=WAIT_S)
        yield platform
        for child in platform.children.values():
            child.terminate()
        assert all(child.wait_stopped() for child in platform.children.values())
    except BaseException:
        print(platform.logs())
        raise
    finally:
        for child in platform.children.values():
            if child.pid is not None:
                os.killpg(child.pid, signal.SIGKILL)


def test_no_upload_is_lost_with_what_a_dead_primary_had_alone(
    redises: Redises, platform: Platform
) -> None:
    platform.upload(1, 2, 3)
    platform.wait_for_results(3)
    worker = next(iter(platform.broker.holders()))
    assert platform.ledger.worker(worker, time.time()) is not None

    with platform.frozen("worker", "reconciler"):
        redises.cut_off_the_replica()
        platform.upload(4, 5, 6)  # the gateway has said 2xx
        assert {platform.rows()[f"{n}.jpg"].phase for n in (4, 5, 6)} == {"queued"}
        redises.kill_the_primary()
        wait_until(
            lambda: ask(redises.replica, "replication")["role"] == "master",
            "a failover",
            timeout_s=WAIT_S,
        )
        wait_until(platform.is_ready, "the gateway is ready again", timeout_s=WAIT_S)
        # The control: without any of these no sweep would be needed.
        assert not {"4.jpg", "5.jpg", "6.jpg"} & platform.rows().keys()
        depths = platform.broker.depths(("images",)).values()
        assert [depth.ready for depth in depths] == [0, 0]

    platform.upload(7)
    platform.wait_for_results(7)
    assert next(iter(platform.broker.holders())) == worker, "the same worker went on"
    status, audit, complaint = run_audit(platform.environment_file)
    assert status == 0, f"{audit} {complaint}"
    assert (audit["missing"], audit["duplicates"]) == (0, 0)
