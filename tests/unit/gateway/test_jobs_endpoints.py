"""Submit, list, look up, cancel and replay, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_world import DEAD, DONE, World, minio_event

from marea.lifecycle.state import JobState


def submitted(world: World, key: str = "a/photo.jpg", **changes: Any) -> str:
    world.upload(key)
    reply = world.post("/v1/jobs", {"key": key, "pipeline": "thumbnail", **changes})
    assert reply.status_code == 202, reply.text
    job_id: str = reply.json()["id"]
    return job_id


def loaded(world: World, job_id: str) -> JobState:
    state = world.ledger.load(job_id)
    assert state is not None
    return state


def test_submits_a_job_over_the_current_version_and_keeps_its_intent() -> None:
    world = World()
    ref = world.upload("acme/photo.jpg")
    reply = world.post(
        "/v1/jobs", {"key": "acme/photo.jpg", "pipeline": "thumbnail", "priority": "high"}
    )
    assert reply.status_code == 202
    job = reply.json()
    assert reply.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["version_id"], job["tenant"], job["origin"], job["phase"]) == (
        ref.version_id,
        "acme",
        "api",
        "queued",
    )
    assert world.queued() == ["acme/photo.jpg"]
    assert world.store.head("results", f".marea/intents/{job['id']}") is not None


def test_submits_an_older_version_when_asked_to() -> None:
    world = World()
    old = world.upload()
    world.store.upload("uploads", "a/photo.jpg", b"newer")
    body = {"key": "a/photo.jpg", "pipeline": "thumbnail", "version_id": old.version_id}
    assert world.post("/v1/jobs", body).json()["etag"] == old.etag


@pytest.mark.parametrize("spelt", ["2023-11-14T22:15:00Z", 1_700_000_100, 1_700_000_100.0])
def test_a_job_for_later_waits_in_the_ledger(spelt: object) -> None:
    world = World()
    state = loaded(world, submitted(world, not_before=spelt))
    assert (state.phase, state.due_at) == ("delayed", 1_700_000_100.0)
    assert world.queued() == []


def test_submitting_an_ended_job_tells_how_it_ended() -> None:
    world = World()
    job_id = submitted(world)
    world.end(job_id, DONE)
    reply = world.post("/v1/jobs", {"key": "a/photo.jpg", "pipeline": "thumbnail"})
    assert reply.status_code == 200
    assert reply.json()["record"]["outputs"][0]["key"] == "a/photo_processed.jpg"


def test_promises_nothing_when_the_broker_is_away() -> None:
    world = World()
    world.upload()
    world.broker.available = False
    reply = world.post("/v1/jobs", {"key": "a/photo.jpg", "pipeline": "thumbnail"})
    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key": "missing.jpg"}, 404, "object-gone"),
        ({"version_id": "no-such"}, 404, "object-gone"),
        ({"pipeline": "nope"}, 422, "unknown-pipeline"),
        ({"bucket": "results"}, 422, "bucket-invalid"),
        ({"key": ".marea/records/x"}, 422, "request-invalid"),
        ({"priority": "urgent"}, 422, "request-invalid"),
        ({"not_before": "soon"}, 422, "request-invalid"),
        ({"not_before": -5}, 422, "request-invalid"),
        ({"not_before": 1e300}, 422, "request-invalid"),
        ({"prioritty": "high"}, 422, "request-invalid"),
        ({"key": "é" * 600}, 422, "key-not-accepted"),
        ({"key": 7}, 422, "request-invalid"),
    ],
)
def test_says_what_is_wrong_with_a_submission(
    changes: dict[str, Any], status: int, code: str
) -> None:
    world = World()
    world.upload()
    reply = world.post("/v1/jobs", {"key": "a/photo.jpg", "pipeline": "thumbnail", **changes})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert world.queued() == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "json-malformed"),
        (b"{", 400, "json-malformed"),
        (b"[" * 100_000, 400, "json-malformed"),
        (b"[]", 422, "request-invalid"),
        (b'{"key": "\\ud800", "pipeline": "thumbnail"}', 422, "request-invalid"),
        (b"x" * 5000, 413, "body-too-large"),
    ],
)
def test_refuses_bodies_that_are_no_submission(body: bytes, status: int, code: str) -> None:
    world = World(max_body_bytes=1000 if code == "body-too-large" else 200_000)
    reply = world.client.post(
        "/v1/jobs", content=body, headers={"Authorization": "Bearer ops-token"}
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_lists_jobs_newest_first_page_by_page() -> None:
    world = World()
    ids = []
    for number in range(5):
        ids.append(submitted(world, f"{number}.jpg"))
        world.clock.sleep(1)
    first = world.get("/v1/jobs", limit=2).json()
    second = world.get("/v1/jobs", limit=2, cursor=first["cursor"]).json()
    third = world.get("/v1/jobs", limit=2, cursor=second["cursor"]).json()
    listed = [job["id"] for page in (first, second, third) for job in page["jobs"]]
    assert listed == ids[::-1]
    assert third["cursor"] is None


def test_lists_the_dead_letters_by_phase() -> None:
    world = World()
    dead, _ = submitted(world, "dead.jpg"), submitted(world, "fine.jpg")
    world.end(dead, DEAD)
    (job,) = world.get("/v1/jobs", phase="dead").json()["jobs"]
    assert (job["id"], job["code"]) == (dead, "attempts-spent")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"phase": "lost"}, "request-invalid"),
        ({"limit": 0}, "request-invalid"),
        ({"limit": 501}, "request-invalid"),
        ({"cursor": "nonsense"}, "cursor-invalid"),
    ],
)
def test_refuses_a_listing_that_makes_no_sense(query: dict[str, Any], code: str) -> None:
    reply = World().get("/v1/jobs", **query)
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, code)


def test_shows_a_job_with_its_record_once_it_has_ended() -> None:
    world = World()
    job_id = submitted(world)
    assert world.get(f"/v1/jobs/{job_id}").json()["record"] is None
    world.end(job_id, DONE)
    job = world.get(f"/v1/jobs/{job_id}").json()
    assert job["phase"] == job["record"]["state"] == "done"
    assert job["record"]["outputs"][0]["width_px"] == 100
    assert job["finished_at"] == "2023-11-14T22:13:20.000Z"


def test_shows_the_ledgers_part_while_the_store_is_away() -> None:
    world = World()
    job_id = submitted(world)
    world.end(job_id, DONE)
    del world.store._buckets["results"]
    reply = world.get(f"/v1/jobs/{job_id}")
    assert reply.status_code == 200
    assert reply.json()["phase"] == "done"
    assert reply.json()["record_problem"].startswith("store-unavailable")


@pytest.mark.parametrize("job_id", ["0" * 32, "nonsense", "0" * 33, "%2e%2e"])
def test_knows_no_job_of_another_id(job_id: str) -> None:
    world = World()
    for reply in (
        world.get(f"/v1/jobs/{job_id}"),
        world.post(f"/v1/jobs/{job_id}/cancel"),
        world.post(f"/v1/jobs/{job_id}/replay"),
    ):
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] in ("job-unknown", "not-found")


def test_cancels_an_open_job_and_writes_its_record() -> None:
    world = World()
    job_id = submitted(world)
    reply = world.post(f"/v1/jobs/{job_id}/cancel")
    assert reply.status_code == 200
    assert reply.json()["record"]["state"] == "cancelled"
    assert loaded(world, job_id).phase == "cancelled"
    assert world.post(f"/v1/jobs/{job_id}/cancel").status_code == 200, "asking twice is fine"


def test_does_not_cancel_what_has_ended() -> None:
    world = World()
    job_id = submitted(world)
    world.end(job_id, DONE)
    reply = world.post(f"/v1/jobs/{job_id}/cancel")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "job-ended")
    assert loaded(world, job_id).phase == "done"


def test_replays_a_dead_job_with_a_fresh_budget() -> None:
    world = World()
    job_id = submitted(world)
    world.queued()
    world.end(job_id, DEAD)
    reply = world.post(f"/v1/jobs/{job_id}/replay")
    assert reply.status_code == 202
    assert (reply.json()["phase"], reply.json()["mode"], reply.json()["attempts"]) == (
        "queued",
        "replay",
        0,
    )
    assert world.queued() == ["a/photo.jpg"]


def test_replays_neither_an_open_job_nor_a_finished_one() -> None:
    world = World()
    job_id = submitted(world)
    assert world.post(f"/v1/jobs/{job_id}/replay").json()["error"]["code"] == "job-open"
    world.end(job_id, DONE)
    reply = world.post(f"/v1/jobs/{job_id}/replay")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "job-not-replayable")


def test_a_replay_that_the_broker_does_not_confirm_is_not_promised() -> None:
    world = World()
    job_id = submitted(world)
    world.end(job_id, DEAD)
    world.broker.available = False
    assert world.post(f"/v1/jobs/{job_id}/replay").status_code == 503


SCOPED = [
    ("GET", "/v1/jobs", "read"),
    ("GET", "/v1/jobs/" + "0" * 32, "read"),
    ("GET", "/v1/uploads/x", "read"),
    ("GET", "/v1/stream?job_id=nobody", "read"),
    ("POST", "/v1/jobs", "submit"),
    ("POST", "/v1/uploads", "submit"),
    ("POST", "/v1/jobs/" + "0" * 32 + "/cancel", "admin"),
    ("POST", "/v1/jobs/" + "0" * 32 + "/replay", "admin"),
]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPED)
def test_every_endpoint_wants_a_token_with_its_scope(method: str, path: str, scope: str) -> None:
    world = World()
    for token in ("", "wrong", "store-token", "ops-token "[:-2]):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        reply = world.client.request(method, path, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "not-authentic")
    holders = {"read": "viewer-token", "submit": "client-token"}
    for held, token in holders.items():
        if held != scope:
            reply = world.client.request(method, path, headers={"Authorization": f"Bearer {token}"})
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "not-allowed")
    if path.startswith("/v1/stream"):
        return  # a stream that is let in does not end
    holder = holders.get(scope, "ops-token")
    reply = world.client.request(method, path, headers={"Authorization": f"Bearer {holder}"})
    assert reply.status_code not in (401, 403)


def test_the_api_answers_nobody_without_tokens() -> None:
    world = World(api_tokens={})
    assert world.get("/v1/jobs").status_code == 401
    assert world.get("/v1/jobs", token="").status_code == 401


def test_an_event_and_a_submission_of_the_same_pipeline_are_the_same_job() -> None:
    world = World()
    (heard,) = world.send_event(minio_event(world.upload())).json()["jobs"]
    body = {"key": "a/photo.jpg", "pipeline": "grayscale"}
    assert world.post("/v1/jobs", body).json()["id"] == heard
    assert world.queued() == ["a/photo.jpg"]
