"""A 2xx to an event is a promise, and nothing that passes may be promised away."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from gateway_world import EVENT_TOKEN, World, bearer, minio_event, served

from marea.errors import PermanentError
from marea.gateway.events import NOTED_CHARACTERS
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.telemetry.metrics import REGISTRY


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("marea_gateway_events_total", {"outcome": outcome}) or 0.0


def test_answers_200_once_the_broker_has_the_job() -> None:
    world = World()
    ref = world.upload("a/b c+d.jpg")
    accepted = counted("accepted")
    reply = world.send_event(minio_event(ref))
    assert reply.status_code == 200
    (job_id,) = reply.json()["jobs"]
    state = world.ledger.load(job_id)
    assert state is not None
    assert (state.phase, state.job.ref, state.job.origin) == ("queued", ref, "event")
    assert world.queued() == ["a/b c+d.jpg"]
    assert counted("accepted") == accepted + 1


def test_an_event_under_way_is_answered_by_a_gateway_that_is_told_to_stop() -> None:
    world = World()
    publish = world.broker.publish_many
    is_publishing, may_go_on = threading.Event(), threading.Event()

    def slowly(jobs: Sequence[Job]) -> list[bool]:
        is_publishing.set()
        assert may_go_on.wait(10)
        return publish(jobs)

    world.broker.publish_many = slowly  # type: ignore[method-assign]
    event, token = minio_event(world.upload()), bearer(EVENT_TOKEN)
    with served(world) as (url, server), ThreadPoolExecutor() as senders:
        reply = senders.submit(httpx.post, f"{url}/events/s3", json=event, headers=token)
        assert is_publishing.wait(10)
        server.should_exit = True
        may_go_on.set()
        assert reply.result().status_code == 200
    assert world.queued() == ["a/photo.jpg"]


def test_answers_503_with_retry_after_when_the_broker_is_away() -> None:
    world = World(retry_after_s=7)
    ref = world.upload()
    world.broker.available = False
    reply = world.send_event(minio_event(ref))
    assert reply.status_code == 503
    assert reply.headers["Retry-After"] == "7"
    assert reply.json()["error"]["code"] == "broker-unavailable"
    world.broker.available = True
    assert world.queued() == []
    # The store sends it again, and now it is accepted, once.
    assert world.send_event(minio_event(ref)).status_code == 200
    assert world.queued() == ["a/photo.jpg"]


def test_answers_503_when_the_confirmation_is_lost_though_the_message_is_queued() -> None:
    world = World()
    world.broker.confirms = False
    assert world.send_event(minio_event(world.upload())).status_code == 503


def test_answers_503_for_the_whole_batch_if_one_upload_is_not_confirmed() -> None:
    world = World()
    refs = [world.upload("a.jpg"), world.upload("b.csv")]
    first = world.broker.publish_many
    world.broker.publish_many = lambda jobs: [*first(jobs[:1]), *(False for _ in jobs[1:])]  # type: ignore[method-assign]
    assert world.send_event(minio_event(*refs)).status_code == 503


def test_answers_503_when_the_ledger_is_away() -> None:
    world = World()
    ref = world.upload()
    world.ledger.is_away = True
    assert world.send_event(minio_event(ref)).json()["error"]["code"] == "ledger-unavailable"
    assert world.send_event(b"not json").status_code == 503, "what is not written down is not 2xx"
    assert world.queued() == []


def test_a_duplicate_event_publishes_nothing_more() -> None:
    world = World()
    event = minio_event(world.upload())
    replies = [world.send_event(event) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert len({reply.json()["jobs"][0] for reply in replies}) == 1
    assert [reply.json()["duplicates"] for reply in replies] == [0, 1, 1]
    assert world.queued() == ["a/photo.jpg"]


def test_an_event_that_was_not_confirmed_is_no_duplicate_when_it_comes_again() -> None:
    world = World()
    event = minio_event(world.upload())
    world.broker.available = False
    assert world.send_event(event).status_code == 503
    world.broker.available = True
    assert world.send_event(event).json()["duplicates"] == 0
    assert world.queued() == ["a/photo.jpg"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer ops-token",
        f"Bearer {EVENT_TOKEN.upper()}",
        f"Bearer {EVENT_TOKEN}x",
        f"Bearer {EVENT_TOKEN[:-1]}",
        EVENT_TOKEN,
        f"Basic {EVENT_TOKEN}",
        "Basic " + base64.b64encode(EVENT_TOKEN.encode()).decode(),
        f"Digest {EVENT_TOKEN}",
    ],
)
def test_refuses_an_event_without_the_token(authorization: str | None) -> None:
    world = World()
    refused = counted("refused")
    reply = world.client.post(
        "/events/s3",
        json=minio_event(world.upload()),
        headers={} if authorization is None else {"Authorization": authorization},
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "not-authentic")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert world.queued() == []
    assert counted("refused") == refused + 1


def test_takes_the_token_as_a_basic_password_for_senders_that_know_no_bearer() -> None:
    world = World()
    credentials = base64.b64encode(f"sns:{EVENT_TOKEN}".encode()).decode()
    reply = world.client.post(
        "/events/s3",
        json=minio_event(world.upload()),
        headers={"Authorization": f"Basic {credentials}"},
    )
    assert reply.status_code == 200


def test_accepts_no_event_at_all_without_a_configured_token() -> None:
    world = World(event_token="")
    for token in ("", EVENT_TOKEN):
        reply = world.send_event(minio_event(world.upload()), token=token)
        assert reply.status_code == 401
    assert "MAREA_GATEWAY__EVENT_TOKEN is not set" in reply.json()["error"]["message"]


def test_writes_down_an_undecodable_event_and_answers_200() -> None:
    world = World()
    undecodable = counted("undecodable")
    reply = world.send_event(b"\xffnot json" + b"x" * 5000)
    assert reply.status_code == 200
    assert "not UTF-8" in reply.json()["problems"][0]
    (note,) = world.ledger.notes("undecodable")
    assert note["problems"] == reply.json()["problems"]
    assert len(note["begins"]) == NOTED_CHARACTERS
    assert note["size_bytes"] == 5009
    assert counted("undecodable") == undecodable + 1


def test_writes_down_an_event_that_nests_too_deep_and_answers_200() -> None:
    world = World()
    reply = world.send_event(b'{"Records":' + b"[" * 100_000)
    assert reply.status_code == 200
    assert "nests more than 32 levels" in world.ledger.notes("undecodable")[0]["problems"][0]


def test_accepts_the_good_records_beside_a_broken_one() -> None:
    world = World()
    event = minio_event(world.upload("good.jpg"), world.upload("bad.jpg"))
    del event["Records"][1]["s3"]["bucket"]
    reply = world.send_event(event)
    assert reply.status_code == 200
    assert world.queued() == ["good.jpg"]
    assert reply.json()["problems"] == world.ledger.notes("undecodable")[0]["problems"]


def test_refuses_a_body_above_the_limit_declared_or_not() -> None:
    world = World(max_body_bytes=1000)
    assert world.send_event(b"x" * 1001).status_code == 413
    chunks = (b"x" * 400 for _ in range(3))  # sent without Content-Length
    reply = world.client.post(
        "/events/s3", content=chunks, headers={"Authorization": f"Bearer {EVENT_TOKEN}"}
    )
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "body-too-large"
    assert world.send_event(b"x" * 1000).status_code == 200


def test_asks_for_the_token_before_it_reads_a_body() -> None:
    world = World(max_body_bytes=10)
    assert world.send_event(b"x" * 1000, token="wrong").status_code == 401


def test_ignores_deletions_and_other_buckets_and_notes_what_no_rule_wants() -> None:
    world = World()
    ref = world.upload("notes.txt")
    elsewhere = ObjectRef("elsewhere", "a.jpg", "v", "e", 5)
    reply = world.send_event(minio_event(ref, elsewhere))
    assert (reply.json()["unrouted"], reply.json()["ignored"], reply.json()["jobs"]) == (1, 1, [])
    (note,) = world.ledger.notes("unrouted")
    assert note["names"] == ["uploads/notes.txt"]
    deletion = minio_event(world.upload("a.jpg"), event_name="s3:ObjectRemoved:Delete")
    assert world.send_event(deletion).json()["ignored"] == 1
    assert world.queued() == []


def test_one_upload_that_fails_for_good_does_not_lose_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World("rules:\n  - {when: {tags: {t: x}}, pipelines: [grayscale]}\n")
    good, odd = world.upload("good.jpg", tags={"t": "x"}), world.upload("odd.jpg")
    tags = world.store.tags

    def refusing(ref: ObjectRef) -> Mapping[str, str]:
        if ref.key == "odd.jpg":
            raise PermanentError("the store does not take this key", code="key-not-accepted")
        return tags(ref)

    monkeypatch.setattr(world.store, "tags", refusing)
    reply = world.send_event(minio_event(odd, good))
    assert reply.status_code == 200
    assert world.queued() == ["good.jpg"]
    assert reply.json()["problems"][0].startswith("key-not-accepted: ")
    assert world.ledger.notes("undecodable")[0]["upload"] == "uploads/odd.jpg"


def test_a_version_that_is_gone_already_is_ignored() -> None:
    world = World("rules:\n  - {when: {tags: {t: x}}, pipelines: [grayscale]}\n")
    good = world.upload("good.jpg", tags={"t": "x"})
    gone = ObjectRef("uploads", "good.jpg", "no-such-version", "e", 5)
    reply = world.send_event(minio_event(gone, good))
    assert reply.status_code == 200
    assert world.queued() == ["good.jpg"]
    assert reply.json()["ignored"] == 1


def test_reports_a_subscription_request_without_answering_it() -> None:
    world = World()
    body: dict[str, Any] = {
        "Type": "SubscriptionConfirmation",
        "TopicArn": "arn:aws:sns:eu-west-1:1:uploads",
        "SubscribeURL": "http://127.0.0.1:1/confirm",
    }
    assert world.send_event(body).status_code == 200
    assert world.ledger.notes("subscription")[0]["topic"] == "arn:aws:sns:eu-west-1:1:uploads"


def test_a_delay_counts_from_the_event_but_never_from_the_future() -> None:
    world = World("rules:\n  - {pipelines: [grayscale], delay: 10m}\n")
    event = minio_event(world.upload("past.jpg"), world.upload("ahead.jpg"))
    event["Records"][1]["eventTime"] = "2099-01-01T00:00:00Z"
    now = world.clock.now()
    past, ahead = (world.ledger.load(job_id) for job_id in world.send_event(event).json()["jobs"])
    assert past is not None
    assert ahead is not None
    assert (past.phase, past.due_at) == ("delayed", now - 20 + 600)
    assert ahead.due_at == now + 600
