"""How processes start when something is wrong: refuse with a sentence, or wait and say for what."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers import started_server
from waiting import wait_until

import marea
from marea.up.minio_server import MinioServer
from marea.up.redis_server import RedisServer
from marea.up.servers import free_port

pytestmark = pytest.mark.timeout(120)
PROCESSES = (("gateway",), ("worker",), ("reconciler", "--once"))
START_S = 60.0
"""Generous: a process imports for two seconds when the machine is idle."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process, its log, and the gateway's port if it is one."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def says(self, text: str) -> None:
        """Wait until its log has `text`."""
        wait_until(lambda: text in self.log, f"{text!r} in {self.log}", timeout_s=START_S)

    def ends(self) -> int:
        """Wait until it has ended; the exit status."""
        return self.process.wait(START_S)


@contextmanager
def started(
    folder: Path, environment: Mapping[str, str], verb: tuple[str, ...]
) -> Iterator[Started]:
    """`marea VERB`, killed in the end."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("MAREA_")}
    log_file = folder / f"{verb[0]}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "marea", *verb],
            cwd=folder,
            env={**own, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Started(process, log_file)
    finally:
        process.kill()
        process.wait()


class _WithoutConditions(BaseHTTPRequestHandler):
    """Hands every request on to `server.backend`, without the headers that make a PUT wait for
    a state of its key: a store that has never heard of them."""

    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        headers = {
            name: text
            for name, text in self.headers.items()
            if name.lower() not in ("if-match", "if-none-match", "expect", "connection")
        }
        backend = http.client.HTTPConnection("127.0.0.1", self.server.backend, timeout=20)  # type: ignore[attr-defined]
        try:
            backend.request(self.command, self.path, body, headers)
            answer = backend.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, text in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, text)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        finally:
            backend.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

    def log_message(self, *_: Any) -> None:
        """pytest has its own."""


@pytest.fixture
def careless_store(moto_url: str) -> Iterator[str]:
    """A store that ignores If-Match and If-None-Match. moto checks no signatures, or they would
    tell of the missing headers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _WithoutConditions)
    server.backend = int(moto_url.rsplit(":", 1)[1])  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def make_buckets(endpoint_url: str, access_key: str, secret_key: str, *names: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
    )
    for name in names:
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def settings(
    endpoint_url: str, redis_url: str, access_key: str = "a", secret_key: str = "b", **more: str
) -> dict[str, str]:
    """Of a platform on the run's Redis; buckets `start-up` and `start-results`."""
    return {
        "MAREA_STORE__ENDPOINT_URL": endpoint_url,
        "MAREA_STORE__ACCESS_KEY": access_key,
        "MAREA_STORE__SECRET_KEY": secret_key,
        "MAREA_STORE__SOURCE_BUCKETS": '["start-up"]',
        "MAREA_STORE__RESULTS_BUCKET": "start-results",
        "MAREA_BROKER__URL": redis_url,
        "MAREA_LEDGER__URL": redis_url.rsplit("/", 1)[0] + "/1",
        "MAREA_GATEWAY__PORT": "0",
        **more,
    }


@pytest.mark.parametrize("verb", PROCESSES, ids=lambda verb: verb[0])
def test_a_store_that_ignores_conditions_is_refused_with_a_sentence(
    careless_store: str, redis_url: str, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    make_buckets(careless_store, "a", "b", "start-up", "start-results")
    with started(tmp_path, settings(careless_store, redis_url), verb) as process:
        assert process.ends() == 2
        assert (
            "error: This store ignores If-None-Match and If-Match on PUT, so two versions of one"
            " key could overwrite each other's results in the wrong order."
        ) in process.log
        assert "MAREA_STORE__ALLOW_UNORDERED=true" in process.log


def test_a_store_that_ignores_conditions_is_used_by_who_gives_up_the_order(
    careless_store: str, redis_url: str, tmp_path: Path
) -> None:
    make_buckets(careless_store, "a", "b", "start-up", "start-results")
    given_up = settings(careless_store, redis_url, MAREA_STORE__ALLOW_UNORDERED="true")
    with started(tmp_path, given_up, ("reconciler", "--once")) as process:
        assert process.ends() == 0


def test_a_bucket_that_is_not_there_is_told_by_name_and_waited_for(
    moto_url: str, redis_url: str, tmp_path: Path
) -> None:
    """It may be made later: in a cluster all start at once."""
    name = f"late-{uuid.uuid4().hex[:8]}"
    late = {**settings(moto_url, redis_url), "MAREA_STORE__SOURCE_BUCKETS": f'["{name}"]'}
    make_buckets(moto_url, "a", "b", "start-results")
    with started(tmp_path, late, ("reconciler", "--once")) as process:
        process.says(f"waiting for the object store: The bucket '{name}' does not exist")
        make_buckets(moto_url, "a", "b", name)
        assert process.ends() == 0
    assert process.log.count("does not exist") == 1


def test_whoever_waits_for_the_store_is_alive_for_its_probe(
    minio: MinioServer, redis_url: str, tmp_path: Path
) -> None:
    wrong = settings(minio.endpoint_url, redis_url, minio.access_key, "not-the-secret")
    for verb in ("worker", "reconciler"):
        alive = tmp_path / verb
        watched = {**wrong, f"MAREA_{verb.upper()}__LIVENESS_FILE": str(alive)}
        with started(tmp_path, watched, (verb,)) as process:
            process.says("waiting for the object store")
            wait_until(alive.exists, "a sign of life")
            probe = (sys.executable, "-m", "marea", verb, "--check-liveness", str(alive))
            judged = subprocess.run(probe, capture_output=True, text=True, timeout=START_S)
            assert (judged.returncode, judged.stdout) == (
                0,
                "alive: waiting for the object store\n",
            )


def test_the_first_line_tells_what_was_started_and_no_secret(
    moto_url: str, redis_url: str, tmp_path: Path
) -> None:
    make_buckets(moto_url, "a", "b", "start-up", "start-results")
    told = {**settings(moto_url, redis_url), "MAREA_BROKER__PASSWORD": "n0t-t0ld"}
    with started(tmp_path, told, ("worker", "--pool", "tables")) as process:
        process.says("marea starts")
        first = json.loads(process.log.splitlines()[0])
    assert "n0t-t0ld" not in process.log
    where = redis_url.removesuffix("/0")
    assert {name: first[name] for name in first if name not in ("time", "level", "logger")} == {
        "event": "marea starts",
        "process": "worker",
        "pool": "tables",
        "version": marea.__version__,
        "broker": f"redis at {where}/0",
        "ledger": f"{where}/1",
        "store": moto_url,
        "source_buckets": ["start-up"],
        "results_bucket": "start-results",
    }


def test_the_reconciler_touches_its_liveness_file_while_servers_are_away(
    moto_url: str, tmp_path: Path
) -> None:
    make_buckets(moto_url, "a", "b", "start-up", "start-results")
    alive = tmp_path / "alive"
    nobody = settings(moto_url, f"redis://127.0.0.1:{free_port()}/0")
    watched = {**nobody, "MAREA_RECONCILER__LIVENESS_FILE": str(alive)}
    with started(tmp_path, watched, ("reconciler",)) as process:
        process.says("duty waits")
        first = wait_until(lambda: alive.exists() and alive.read_text(), "a sign of life")
        wait_until(lambda: alive.read_text() != first, "the next sign of life")


def test_wrong_credentials_are_told_and_waited_for(
    minio: MinioServer, redis_url: str, tmp_path: Path
) -> None:
    """Waited for: keys are replaced while processes run, and the new ones may come first."""
    wrong = settings(minio.endpoint_url, redis_url, minio.access_key, "not-the-secret")
    with started(tmp_path, wrong, ("worker",)) as process:
        process.says("correct MAREA_STORE__ACCESS_KEY and MAREA_STORE__SECRET_KEY")
        assert "not-the-secret" not in process.log
        process.process.terminate()
        assert process.ends() == 0


def test_a_store_that_is_away_is_waited_for(redis_url: str, tmp_path: Path) -> None:
    """MinIO, which keeps its buckets while it is away."""
    store = MinioServer(tmp_path / "minio")
    with store:
        keys = store.access_key, store.secret_key
        make_buckets(store.endpoint_url, *keys, "start-up", "start-results")
    absent = settings(store.endpoint_url, redis_url, *keys)
    with started(tmp_path, absent, ("reconciler", "--once")) as process:
        process.says("waiting for the object store: The store did not look up start-up")
        with store:
            assert process.ends() == 0
    # The sentence comes when it changes, not with each try.
    assert process.log.count("Could not connect") == 1


@contextmanager
def gateway(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[Started, str]]:
    """A gateway that listens, and its address."""
    port = free_port()
    with started(folder, {**environment, "MAREA_GATEWAY__PORT": str(port)}, ("gateway",)) as it:
        it.says("Uvicorn running")
        yield it, f"http://127.0.0.1:{port}"


def readiness(address: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=15) as answer:
            return answer.status, json.load(answer)["parts"]
    except urllib.error.HTTPError as exc:
        return exc.code, json.load(exc)["parts"]


def names_only(address: str, part: str) -> bool:
    """Whether /readyz calls that part away and no other, and gives the reason with its code."""
    parts = readiness(address)[1]
    away = [name for name in parts if not parts[name]["ready"]]
    return away == [part] and f"{part}-unavailable: " in parts[part]["reason"]


def test_readyz_names_what_is_away_and_says_why(
    moto_url: str, redis_url: str, tmp_path: Path
) -> None:
    make_buckets(moto_url, "a", "b", "start-up", "start-results")
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    sound = settings(moto_url, redis_url)
    away = {
        "broker": {**sound, "MAREA_BROKER__URL": nobody},
        "ledger": {**sound, "MAREA_LEDGER__URL": nobody},
        "store": {**sound, "MAREA_STORE__ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"},
    }
    for part, environment in away.items():
        with gateway(tmp_path, environment) as (_, address):
            # At first the store's client is still being imported, and one that tries thrice is
            # slower than a probe waits: then the reason comes with the next answer.
            is_named = partial(names_only, address, part)
            wait_until(is_named, f"{part} is what is away, with its code", timeout_s=START_S)
            assert readiness(address)[0] == 503
            with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
                assert answer.status == 200


def test_processes_go_on_when_broker_and_ledger_come_late(moto_url: str, tmp_path: Path) -> None:
    make_buckets(moto_url, "a", "b", "start-up", "start-results")
    with started_server(RedisServer) as redis:
        environment = settings(moto_url, redis.url())
        redis.stop()
        with (
            started(tmp_path, environment, ("worker",)) as worker,
            started(tmp_path, environment, ("reconciler",)) as reconciler,
            gateway(tmp_path, environment) as (_, address),
        ):
            worker.says("waiting to start")
            reconciler.says("duty waits")
            assert readiness(address)[0] == 503
            redis.start()
            wait_until(lambda: readiness(address)[0] == 200, "all parts answer", timeout_s=START_S)
            reconciler.says("duty goes on")
            worker.process.terminate()
            assert worker.ends() == 0
            reconciler.process.terminate()
            assert reconciler.ends() == 0
        assert worker.log.count("waiting to start") < 5
