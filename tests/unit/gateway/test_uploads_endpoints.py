"""Forms to upload by, and ids that find the upload whatever was forgotten meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_world import DONE, World, minio_event

from marea.gateway.upload_ticket import NONCE_METADATA, TicketOffice


def opened(world: World, **changes: Any) -> dict[str, Any]:
    reply = world.post("/v1/uploads", {"key": "a/photo.jpg", **changes}, token="client-token")
    assert reply.status_code == 201, reply.text
    form: dict[str, Any] = reply.json()
    return form


def upload_by(world: World, form: dict[str, Any], data: bytes = b"photo") -> Any:
    """What a browser's POST of the form does at the store."""
    metadata = {
        name.removeprefix("x-amz-meta-"): value
        for name, value in form["fields"].items()
        if name.startswith("x-amz-meta-")
    }
    return world.store.upload("uploads", form["fields"]["key"], data, "image/jpeg", metadata)


def status(world: World, form: dict[str, Any]) -> dict[str, Any]:
    reply = world.get(form["status_url"], token="viewer-token")
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_a_form_pins_size_type_and_metadata() -> None:
    world = World(presign_expires_s=60, upload_max_bytes=1000)
    form = opened(world, content_type="image/jpeg", metadata={"album": "Summer"}, max_bytes=500)
    assert form["fields"]["policy"] == "content-length-range,0,500"
    assert form["fields"]["Content-Type"] == "image/jpeg"
    assert form["fields"]["x-amz-meta-album"] == "Summer"
    assert f"x-amz-meta-{NONCE_METADATA}" in form["fields"]
    assert form["expires_at"] == "2023-11-14T22:14:20.000Z"


def test_an_upload_id_finds_the_jobs_from_waiting_to_done() -> None:
    world = World()
    form = opened(world)
    assert status(world, form)["status"] == "waiting"
    ref = upload_by(world, form)
    received = status(world, form)
    assert (received["status"], received["outcome"], received["jobs"]) == (
        "received",
        "routed",
        [],
    )
    (job_id,) = world.send_event(minio_event(ref)).json()["jobs"]
    assert [job["id"] for job in status(world, form)["jobs"]] == [job_id]
    world.end(job_id, DONE)
    (job,) = status(world, form)["jobs"]
    assert (job["phase"], job["record"]["state"]) == ("done", "done")


def test_an_upload_id_expires_only_if_nothing_came() -> None:
    world = World(presign_expires_s=60)
    used, unused = opened(world), opened(world, key="other.jpg")
    upload_by(world, used)
    world.clock.sleep(61)
    assert status(world, used)["status"] == "received"
    assert status(world, unused)["status"] == "expired"


def test_an_upload_id_keeps_to_its_own_version_of_an_overwritten_key() -> None:
    world = World()
    first, second = opened(world), opened(world)
    first_ref = upload_by(world, first, b"first")
    second_ref = upload_by(world, second, b"second")
    world.upload("a/photo.jpg")
    assert status(world, first)["version_id"] == first_ref.version_id
    assert status(world, second)["version_id"] == second_ref.version_id


def test_does_not_take_somebody_elses_upload_for_the_forms() -> None:
    world = World()
    form = opened(world)
    world.upload("a/photo.jpg")
    world.upload("a/photo.jpg.bak", metadata={NONCE_METADATA: "x"})
    assert status(world, form)["status"] == "waiting"


def test_an_upload_id_is_read_by_every_gateway_with_the_same_tokens() -> None:
    form = opened(World())
    assert World().get(form["status_url"]).status_code == 200
    assert World(event_token="rotated").get(form["status_url"]).status_code == 404


def test_asks_for_tags_where_a_rule_needs_them() -> None:
    world = World("rules:\n  - {when: {tags: {t: x}}, pipelines: [grayscale]}\n")
    form = opened(world)
    upload_by(world, form)
    assert status(world, form)["outcome"] == "unrouted"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"max_bytes": 2000}, "request-invalid"),
        ({"max_bytes": 0}, "request-invalid"),
        ({"bucket": "results"}, "bucket-invalid"),
        ({"key": ".marea/x"}, "request-invalid"),
        ({"key": "a/${filename}"}, "key-not-accepted"),
        ({"key": "é" * 600}, "key-not-accepted"),
        ({"metadata": {"album": "Été"}}, "metadata-not-accepted"),
        ({"metadata": {"Marea-Upload": "forged"}}, "request-invalid"),
        ({"metadata": {"big": "x" * 3000}}, "metadata-not-accepted"),
    ],
)
def test_says_what_is_wrong_with_a_form(changes: dict[str, Any], code: str) -> None:
    world = World(upload_max_bytes=1000)
    reply = world.post("/v1/uploads", {"key": "a/photo.jpg", **changes})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, code)


def test_refuses_ids_that_it_did_not_sign() -> None:
    world = World()
    upload_id = opened(world)["upload_id"]
    body, _, signature = upload_id.partition(".")
    other_body = opened(world, key="b.jpg")["upload_id"].partition(".")[0]
    forged = (f"{other_body}.{signature}", f"{body}.", f".{signature}", "x", body, "é.é")
    for upload_id in forged:
        reply = world.get(f"/v1/uploads/{upload_id}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "upload-unknown")


def test_a_ticket_carries_any_key() -> None:
    office = TicketOffice(["a", "b"])
    for key in ("日本/ñ.png", "a b+c%2F", "x" * 1024, "line\nbreak"):
        ticket, upload_id = office.issue("uploads", key, 5.0)
        assert TicketOffice(["b", "a"]).read(upload_id) == ticket
