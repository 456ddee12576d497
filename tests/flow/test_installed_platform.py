"""A whole platform whose processes start before there is anything, each with the least rights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from servers import server_folder
from waiting import wait_until

from loadtest.check import check_store
from loadtest.collect import StoreAddress, open_client
from loadtest.history import Expected, HistoryWriter, load_history
from loadtest.recorded_put import put_recorded
from marea.errors import ConfigError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source
from marea.storage.trial import small_picture
from tests.flow.installed_platform import START_S, VERBS, InstalledPlatform

pytestmark = [pytest.mark.real("redis", "rabbitmq", "minio"), pytest.mark.timeout(420)]


@pytest.fixture(params=["redis", "rabbitmq"])
def platform(request: pytest.FixtureRequest) -> Iterator[InstalledPlatform]:
    with server_folder("installed") as folder:
        platform = InstalledPlatform(folder, request.param)
        try:
            yield platform
        except ConfigError as exc:
            pytest.skip(str(exc))
        finally:
            platform.close()


def test_all_comes_up_by_itself_and_works_with_the_least_rights(
    platform: InstalledPlatform,
) -> None:
    for verb in VERBS:
        platform.start(verb)
    everybody_waits_and_is_alive(platform)
    the_store_is_prepared(platform)
    for server in (platform.redis, platform.rabbitmq):
        if server is not None:
            server.start()
    wait_until(lambda: platform.asked("/readyz")[0] == 200, "all is ready", timeout_s=START_S)
    uploads_end_as_they_must(platform)
    tried = platform.run("uploader", "store", "try", "--json", "--timeout-s", "100")
    assert tried.returncode == 0, tried.stderr
    assert [record["state"] for record in json.loads(tried.stdout)["records"]] == ["done"]
    for verb in VERBS:
        assert "forbids" not in platform.log(verb)
        assert platform.log(verb).count("waiting for the object store") <= 3


def everybody_waits_and_is_alive(platform: InstalledPlatform) -> None:
    wait_until(lambda: platform.asked("/healthz")[0] == 200, "it lives", timeout_s=START_S)
    wait_until(
        lambda: set(platform.away()) == {"store", "broker", "ledger"}, "all is away", timeout_s=60
    )
    wait_until(
        lambda: "Could not connect" in platform.away()["store"], "readyz says why", timeout_s=60
    )
    for verb in VERBS:
        platform.says(verb, "waiting for the object store")
    for verb in ("worker", "reconciler"):
        judged = platform.run("root", verb, "--check-liveness", f"{verb}.alive")
        assert judged.stdout == "alive: waiting for the object store\n"
        assert judged.returncode == 0


def the_store_is_prepared(platform: InstalledPlatform) -> None:
    platform.start_store()
    for verb in VERBS:
        platform.says(verb, "does not accept the credentials (InvalidAccessKeyId)")
    wait_until(
        lambda: "InvalidAccessKeyId" in platform.away()["store"], "readyz says so", timeout_s=30
    )
    done = platform.run(
        "root", "store", "prepare", "--json", "--users", str(platform.users_folder),
        "--events", "MAREA", "--events", "MAREA_DIRECT",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    platform.says("gateway", "the object store is ready")


def results_of(key: str, body: bytes) -> tuple[Expected, ...]:
    made = load_catalog(None)["grayscale"].run(Source(body, key)).artifacts
    return tuple(
        Expected(artifact.key, "grayscale", f"sha256:{hashlib.sha256(artifact.data).hexdigest()}")
        for artifact in made
    )


def uploads_end_as_they_must(platform: InstalledPlatform) -> None:
    """Five uploads, one key twice, one file that is no picture; then both judges."""
    keys = ("marea-uploader", platform.secrets["uploader"])
    address = StoreAddress(platform.store.endpoint_url, *keys)
    client = open_client(address)
    history_file = platform.folder / "history.jsonl"
    with HistoryWriter(history_file) as history:
        for key in ("a.png", "b.png", "in/c.png", "a.png", "broken.png"):
            is_good = key != "broken.png"
            body = small_picture() if is_good else b"\x89PNG\r\n\x1a\n and no more"
            put = put_recorded(
                client, history, "uploads", key, body, content_type="image/png",
                oracle="good" if is_good else "bad", pipelines=("grayscale",),
                expected=results_of(key, body) if is_good else (),
            )  # fmt: skip
            assert put.outcome == "ok"

    def is_complete() -> bool:
        audited = platform.run("uploader", "audit", "--json")
        # a job in flight is not missing, so the exit status alone is 0 before it ends
        return audited.returncode == 0 and json.loads(audited.stdout)["classes"]["in_flight"] == 0

    wait_until(is_complete, "the audit is at 0 and nothing is in flight", timeout_s=START_S)
    verdict = check_store(
        load_history(history_file), address, source_buckets=["uploads"], results_bucket="results"
    )
    assert verdict.is_valid, verdict.summary()
    assert verdict.acknowledged == 5
    worker = open_client(
        StoreAddress(platform.store.endpoint_url, "marea-worker", platform.secrets["worker"])
    )
    for bucket in ("uploads", "results"):
        with pytest.raises(ClientError, match="AccessDenied"):
            worker.delete_object(Bucket=bucket, Key="b.png")
