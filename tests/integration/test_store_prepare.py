"""`marea store prepare` on real stores: what it makes, what it leaves alone, who may do what."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr
from servers import started_server
from waiting import wait_until

from marea.clock import SystemClock
from marea.errors import StoreUnavailable
from marea.settings import StoreSettings
from marea.storage.inspection import Finding, inspect_store
from marea.storage.naming import intent_key, load_reports_prefix, probe_key
from marea.storage.policies import PROCESSES
from marea.storage.prepare import Step, Wishes, prepare_store, wait_for_answer
from marea.up.minio_server import MinioServer, webhook_environment
from marea.up.servers import free_port

BOTH = ("MAREA_DIRECT", "MAREA")
BY_NAME = "arn:minio:sqs::MAREA:webhook"
RECORD = ".marea/records/uploads/a.jpg!grayscale." + "0" * 32


@pytest.fixture(scope="module")
def store() -> Iterator[MinioServer]:
    """A MinIO with two webhooks that lead nowhere: nobody listens while it is prepared."""
    with started_server(MinioServer) as minio:
        minio.stop()
        nowhere = f"http://127.0.0.1:{free_port()}/events/s3"
        yield minio.start(env=webhook_environment(nowhere, "t0ken", minio.folder / "events"))


def settings_of(minio: MinioServer, **changes: Any) -> StoreSettings:
    """Of an installation of its own: new buckets."""
    token = uuid.uuid4().hex[:8]
    return StoreSettings(
        endpoint_url=minio.endpoint_url,
        access_key=minio.access_key,
        secret_key=SecretStr(minio.secret_key),
        source_buckets=(f"in-{token}",),
        results_bucket=f"out-{token}",
    ).model_copy(update=changes)


def users(settings: StoreSettings) -> dict[str, tuple[str, str]]:
    token = settings.results_bucket.removeprefix("out-")
    return {process: (f"{token}-{process}", f"secret-of-{process}") for process in PROCESSES}


def prepared(settings: StoreSettings, wishes: Wishes) -> dict[str, Step]:
    return {step.what: step for step in prepare_store(settings, wishes, SystemClock())}


def states(steps: dict[str, Step]) -> set[str]:
    return {step.state for step in steps.values()}


def client_of(settings: StoreSettings, keys: tuple[str, str] | None = None) -> Any:
    access_key, secret = keys or (settings.access_key, settings.secret_key.get_secret_value())
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )


def refusal(call: Any, **arguments: Any) -> str:
    """The code that the store refuses it with; empty if it does not."""
    try:
        call(**arguments)
    except ClientError as exc:
        return str(exc.response["Error"]["Code"])
    return ""


def test_an_empty_store_gets_everything_and_the_second_time_nothing(store: MinioServer) -> None:
    settings = settings_of(store)
    wishes = Wishes(users=users(settings), events=BOTH)
    first = prepared(settings, wishes)
    source = settings.source_buckets[0]
    assert first.pop("conditional PUT").state == "already there"
    assert states(first) == {"created"}
    assert set(first) == {
        f"bucket {source}",
        f"versions of {source}",
        f"bucket {settings.results_bucket}",
        f"events of {source}",
        *(f"{kind} {key}" for key, _ in users(settings).values() for kind in ("user", "policy")),
    }
    assert states(prepared(settings, wishes)) == {"already there"}
    assert [finding.is_so for finding in inspect_store(settings, SystemClock())] == [True] * 6


def test_what_was_changed_by_hand_is_put_right_and_told(store: MinioServer) -> None:
    settings = settings_of(store)
    wishes = Wishes(users=users(settings), events=BOTH)
    prepared(settings, wishes)
    source, own = settings.source_buckets[0], users(settings)
    client_of(settings).put_bucket_versioning(
        Bucket=source, VersioningConfiguration={"Status": "Suspended"}
    )
    client_of(settings).put_bucket_notification_configuration(
        Bucket=source, NotificationConfiguration={}
    )
    rotated = {**own, "worker": (own["worker"][0], "another-secret")}
    second = prepared(settings, replace(wishes, users=rotated))
    changed = {what: step.state for what, step in second.items() if step.state != "already there"}
    assert changed == {
        f"versions of {source}": "created",
        f"user {own['worker'][0]}": "changed",
        f"events of {source}": "created",
    }
    look = {"Bucket": settings.results_bucket}
    assert refusal(client_of(settings, rotated["worker"]).list_objects_v2, **look) == ""
    assert refusal(client_of(settings, own["worker"]).list_objects_v2, **look) == (
        "SignatureDoesNotMatch"
    )


def test_a_policy_follows_the_buckets_of_the_settings(store: MinioServer) -> None:
    settings = settings_of(store)
    wishes = Wishes(users=users(settings))
    prepared(settings, wishes)
    more = settings.model_copy(
        update={"source_buckets": (*settings.source_buckets, f"more-{uuid.uuid4().hex[:8]}")}
    )
    second = prepared(more, wishes)
    assert {step.state for what, step in second.items() if what.startswith("policy")} == {"changed"}
    worker = client_of(more, users(settings)["worker"])
    assert refusal(worker.list_objects_v2, Bucket=more.source_buckets[1]) == ""


def test_rules_of_others_on_the_bucket_stay(store: MinioServer) -> None:
    settings = settings_of(store)
    (source,) = settings.source_buckets
    prepared(settings, Wishes())
    theirs = {"Id": "theirs", "QueueArn": BY_NAME, "Events": ["s3:ObjectRemoved:*"]}
    client = client_of(settings)
    client.put_bucket_notification_configuration(
        Bucket=source, NotificationConfiguration={"QueueConfigurations": [theirs]}
    )

    def ids() -> set[str]:
        rules = client.get_bucket_notification_configuration(Bucket=source)
        return {rule["Id"] for rule in rules["QueueConfigurations"]}

    prepared(settings, Wishes(events=BOTH))
    assert ids() == {"theirs", "marea-MAREA", "marea-MAREA_DIRECT"}
    assert prepared(settings, Wishes(events=("MAREA",)))[f"events of {source}"].state == "changed"
    assert ids() == {"theirs", "marea-MAREA"}
    last = prepared(settings, Wishes())[f"events of {source}"]
    assert last.state == "removed"
    assert "sweeps" in last.sentence
    assert ids() == {"theirs"}


def test_a_webhook_that_there_is_not_fails_with_those_there_are(store: MinioServer) -> None:
    settings = settings_of(store)
    step = prepared(settings, Wishes(events=("MAREE",)))[f"events of {settings.source_buckets[0]}"]
    assert step.state == "failed"
    assert "no webhook 'MAREE' (it has: MAREA, MAREA_DIRECT)" in step.sentence


def test_buckets_that_may_not_be_made_fail_and_those_without_versions_are_told(
    store: MinioServer,
) -> None:
    settings = settings_of(store)
    (source,) = settings.source_buckets
    steps = prepared(settings, Wishes(create_buckets=False))
    assert steps[f"bucket {source}"].state == "failed"
    assert "leave --no-create-buckets out" in steps[f"bucket {source}"].sentence
    assert steps["conditional PUT"].state == "failed"
    assert prepared(settings, Wishes(versioning=False))[f"versions of {source}"].state == "missing"


def test_a_key_without_the_right_to_administer_is_told_so_and_what_else_to_do(
    store: MinioServer,
) -> None:
    settings = settings_of(store)
    own = users(settings)
    prepared(settings, Wishes(users=own))
    access_key, secret = own["reconciler"]
    lesser = settings.model_copy(update={"access_key": access_key, "secret_key": SecretStr(secret)})
    steps = prepared(lesser, Wishes(users=own, events=("MAREA",)))
    told = steps[f"user {own['worker'][0]}"]
    assert told.state == "failed"
    assert "use the root key" in told.sentence
    assert "`marea store policies worker`" in told.sentence
    assert steps[f"events of {settings.source_buckets[0]}"].state == "failed"
    events = f"events of {settings.source_buckets[0]}"
    seen: dict[str, Finding] = {it.what: it for it in inspect_store(lesser, SystemClock())}
    assert seen[events].is_so is None


def test_a_store_that_comes_late_and_a_wrong_key_are_waited_for_with_the_reason(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    minio = MinioServer(tmp_path_factory.mktemp("late") / "server")
    settings, clock, said = settings_of(minio), _StartsStore(minio), []
    try:
        wait_for_answer(settings, clock, 60.0, said.append)
    finally:
        minio.kill()
    assert said[0].startswith("waiting for the object store: the store does not answer")


class _StartsStore(SystemClock):
    """Whoever sleeps on it finds the store started."""

    def __init__(self, minio: MinioServer) -> None:
        self._minio, self._is_started = minio, False

    def sleep(self, seconds: float) -> None:
        if not self._is_started:
            self._minio.start()
            self._is_started = True
        super().sleep(seconds)


def test_a_wrong_key_is_given_up_with_a_sentence(store: MinioServer) -> None:
    wrong = settings_of(store, secret_key=SecretStr("not-the-secret"))
    with pytest.raises(StoreUnavailable) as given_up:
        wait_for_answer(wrong, SystemClock(), 0.0, lambda _: None)
    assert "SignatureDoesNotMatch" in str(given_up.value)
    assert "MAREA_STORE__SECRET_KEY" in str(given_up.value)
    assert "not-the-secret" not in str(given_up.value)


def test_a_store_that_is_no_minio_gets_all_but_users(moto_url: str) -> None:
    token = uuid.uuid4().hex[:8]
    settings = StoreSettings(
        endpoint_url=moto_url,
        access_key="a",
        secret_key=SecretStr("b"),
        source_buckets=(f"in-{token}",),
        results_bucket=f"out-{token}",
    )
    steps = prepared(settings, Wishes(users=users(settings)))
    told = steps.pop(f"user {token}-worker")
    assert told.state == "failed"
    assert "no MinIO admin API" in told.sentence
    assert steps[f"events of in-{token}"].state == "missing"
    assert steps[f"versions of in-{token}"].state == "created"
    assert steps["conditional PUT"].state == "already there"


ALLOWED, DENIED = "", "AccessDenied"
TABLE = {
    # (call, bucket, key): who may
    ("put_object", "in", "a.jpg"): {"gateway", "uploader", "loadtest"},
    ("get_object", "in", "there.jpg"): set(PROCESSES),
    # The worker's policy does not name it; MinIO lets whoever lists list versions too.
    ("list_object_versions", "in", ""): set(PROCESSES),
    ("list_objects_v2", "in", ""): set(PROCESSES),
    ("get_bucket_versioning", "in", ""): set(PROCESSES),
    ("get_object_tagging", "in", "there.jpg"): {
        "gateway",
        "reconciler",
        "uploader",
        "loadtest",
    },
    ("delete_object", "in", "there.jpg"): set(),
    ("put_object", "out", "a_processed.jpg"): {"worker", "reconciler"},
    ("put_object", "out", RECORD): {"worker", "reconciler"},
    ("put_object", "out", intent_key(".marea/", "0" * 32)): {"gateway", "worker", "reconciler"},
    ("put_object", "out", probe_key(".marea/")): {"gateway", "worker", "reconciler"},
    ("put_object", "out", f"{load_reports_prefix('.marea/')}spike-1/run.json"): {
        "worker",
        "reconciler",
        "loadtest",
    },
    ("get_object", "out", "there.jpg"): set(PROCESSES),
    ("list_objects_v2", "out", ""): set(PROCESSES),
    ("delete_object", "out", "there.jpg"): {"reconciler"},
    ("put_bucket_versioning", "in", ""): set(),
    ("delete_bucket", "out", ""): set(),
}
BODIES = {
    "put_object": {"Body": b"x"},
    "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
}


def test_each_user_may_do_what_it_must_and_nothing_else(store: MinioServer) -> None:
    settings = settings_of(store)
    prepared(settings, Wishes(users=users(settings)))
    buckets = {"in": settings.source_buckets[0], "out": settings.results_bucket}
    admin = client_of(settings)
    found, wanted = {}, {}
    for process, keys in users(settings).items():
        own = client_of(settings, keys)
        for (call, side, key), may in TABLE.items():
            for bucket in buckets.values():
                admin.put_object(Bucket=bucket, Key="there.jpg", Body=b"x")
            where = {"Bucket": buckets[side], **({"Key": key} if key else {})}
            case = (process, call, side, key)
            found[case] = refusal(getattr(own, call), **where, **BODIES.get(call, {}))
            wanted[case] = ALLOWED if process in may else DENIED
    assert found == wanted


def test_a_user_of_one_installation_sees_nothing_of_another(store: MinioServer) -> None:
    mine, other = settings_of(store), settings_of(store)
    prepared(mine, Wishes(users=users(mine)))
    prepared(other, Wishes())
    for keys in users(mine).values():
        client = client_of(mine, keys)
        assert refusal(client.list_objects_v2, Bucket=other.results_bucket) == DENIED
        assert refusal(client.get_object, Bucket=other.results_bucket, Key="x") == DENIED


def test_new_users_are_known_at_once(store: MinioServer) -> None:
    """Processes wait for their key; the next to ask is told it is there."""
    settings = settings_of(store)
    prepared(settings, Wishes(users=users(settings)))
    worker = client_of(settings, users(settings)["worker"])
    wait_until(
        lambda: refusal(worker.list_objects_v2, Bucket=settings.results_bucket) == "",
        "the worker's key is known",
        timeout_s=5.0,
    )
