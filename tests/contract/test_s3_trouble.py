"""`S3ObjectStore` against a server that fails on purpose: in bounded time, with the right error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import pytest

from marea.clock import FakeClock
from marea.errors import (
    ConfigError,
    ObjectGone,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
)
from marea.messages.objects import ObjectRef
from marea.settings import StoreSettings
from marea.storage.object_store import IF_ABSENT
from marea.storage.s3 import S3ObjectStore
from marea.storage.s3_client import MAX_TRIES

REF = ObjectRef("uploads", "k", "v1")
Reply = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each request with the next of `replies`, and the last one from then on."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[str] = []
        self.client_ports: list[int] = []
        self.ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                at = min(len(server.requests), len(server.replies) - 1)
                server.requests.append(f"{self.command} {self.path}")
                server.client_ports.append(self.client_address[1])
                server.replies[at](self)

            do_GET = do_PUT = do_HEAD = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def store(self, **options: object) -> S3ObjectStore:
        settings = {"endpoint_url": self.address, "access_key": "a", "secret_key": "s", **options}
        return S3ObjectStore(StoreSettings.model_validate(settings), FakeClock())


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.ended.set()
    server.http.shutdown()
    server.http.server_close()


def answer(status: int, body: bytes = b"", *, announced: int | None = None) -> Reply:
    """A whole reply; with `announced` its Content-Length lies, and the connection ends."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("ETag", '"e1"')
        handler.send_header("Last-Modified", "Sat, 21 Nov 2026 09:38:36 GMT")
        handler.send_header("Content-Length", str(len(body) if announced is None else announced))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = announced is not None

    return reply


def error(status: int, code: str) -> Reply:
    return answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = monotonic()
    yield
    assert monotonic() - started < seconds


@pytest.mark.parametrize("trouble", [error(503, "SlowDown"), error(500, "InternalError"), hang_up])
def test_a_hiccup_is_absorbed(server: Server, trouble: Reply) -> None:
    server.replies = [trouble, answer(200, b"data")]
    assert server.store().get(REF).data == b"data"
    assert len(server.requests) == 2


@pytest.mark.parametrize("trouble", [error(503, "SlowDown"), hang_up])
def test_a_lasting_trouble_ends_in_bounded_time(server: Server, trouble: Reply) -> None:
    server.replies = [trouble]
    with within(10), pytest.raises(StoreUnavailable):
        server.store().get(REF)
    assert len(server.requests) == MAX_TRIES


def test_a_store_that_does_not_answer_is_away(server: Server) -> None:
    server.replies = [lambda handler: server.ended.wait(60) and None]
    with within(10), pytest.raises(StoreUnavailable):
        server.store(read_timeout_s=0.2).get(REF)


def test_a_store_that_does_not_listen_is_away(server: Server) -> None:
    store = server.store()
    server.http.server_close()
    with within(10), pytest.raises(StoreUnavailable, match="did not read uploads/k"):
        store.get(REF)


def test_a_store_that_asks_for_fewer_requests_is_away_for_now(server: Server) -> None:
    server.replies = [error(429, "TooManyRequests")]
    with pytest.raises(StoreUnavailable, match="429"):
        server.store().put("results", "k", b"x")


def test_a_body_that_ends_early_is_not_taken_for_the_object(server: Server) -> None:
    server.replies = [answer(200, b"half", announced=8)]
    with pytest.raises(StoreUnavailable):
        server.store().get(REF)


def test_a_body_that_stalls_is_given_up(server: Server) -> None:
    def stall(handler: BaseHTTPRequestHandler) -> None:
        answer(200, b"half", announced=8)(handler)
        server.ended.wait(60)

    server.replies = [stall]
    with within(10), pytest.raises(StoreUnavailable):
        server.store(read_timeout_s=0.2).get(REF)


def test_a_body_over_the_limit_is_not_waited_for(server: Server) -> None:
    def announce(handler: BaseHTTPRequestHandler) -> None:
        answer(200, b"", announced=2**40)(handler)
        server.ended.wait(60)

    server.replies = [announce]
    with within(5), pytest.raises(PermanentError) as refusal:
        server.store(read_timeout_s=10).get(REF, max_bytes=100)
    assert refusal.value.code == "file-too-large"


def test_a_body_of_unknown_length_is_read_to_the_limit_only(server: Server) -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Last-Modified", "Sat, 21 Nov 2026 09:38:36 GMT")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"x" * 101)
        server.ended.wait(60)

    server.replies = [pour]
    with within(5), pytest.raises(PermanentError) as refusal:
        server.store(read_timeout_s=10).get(REF, max_bytes=100)
    assert refusal.value.code == "file-too-large"


def test_the_retry_of_a_write_whose_reply_was_lost_meets_its_own_write(server: Server) -> None:
    server.replies = [hang_up, error(412, "PreconditionFailed")]
    with pytest.raises(PreconditionFailed):
        server.store().put("results", "k", b"x", condition=IF_ABSENT)
    assert server.requests == ["PUT /results/k"] * 2


def test_an_absent_object_costs_a_question_for_the_bucket_once(server: Server) -> None:
    server.replies = [answer(404), answer(200), answer(404)]
    store = server.store()
    assert [store.head("results", "k") for _ in range(3)] == [None] * 3
    assert server.requests.count("HEAD /results") == 1


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"<ListBucketResult>", b"", b"\x00"])
def test_a_listing_that_cannot_be_read_is_never_an_empty_one(server: Server, body: bytes) -> None:
    server.replies = [answer(200, body)]
    with pytest.raises(StoreUnavailable):
        server.store().list_versions("uploads")
    with pytest.raises(StoreUnavailable):
        server.store().list_objects("uploads")


def test_a_page_without_rows_is_not_the_end_of_a_listing(server: Server) -> None:
    row = (
        b"<Key>z</Key><ETag>e</ETag><Size>1</Size><IsLatest>true</IsLatest>"
        b"<LastModified>2026-11-21T09:38:36.824Z</LastModified>"
    )
    more = b"<IsTruncated>true</IsTruncated><NextKeyMarker>m</NextKeyMarker>"
    end = b"<IsTruncated>false</IsTruncated>"
    server.replies = [
        answer(200, b"<ListVersionsResult>" + more + b"</ListVersionsResult>"),
        answer(
            200,
            b"<ListVersionsResult>" + end + b"<Version>" + row + b"</Version></ListVersionsResult>",
        ),
        answer(
            200,
            b"<ListBucketResult><IsTruncated>true</IsTruncated>"
            b"<NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
        ),
        answer(
            200,
            b"<ListBucketResult>" + end + b"<Contents>" + row + b"</Contents></ListBucketResult>",
        ),
    ]
    store = server.store()
    versions = store.list_versions("uploads")
    assert ([row.ref.key for row in versions.rows], versions.next) == (["z"], None)
    assert "key-marker=m" in server.requests[1]
    objects = store.list_objects("uploads")
    assert ([row.key for row in objects.rows], objects.next_after) == (["z"], None)
    assert "continuation-token=t" in server.requests[3]


def test_probe_takes_not_implemented_for_a_store_without_conditional_put(server: Server) -> None:
    def by_method(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "PUT":
            error(501, "NotImplemented")(handler)
        else:
            answer(200, b"<VersioningConfiguration/>" * (handler.command == "GET"))(handler)

    server.replies = [by_method]
    abilities = server.store().probe(("uploads",), "results")
    assert not abilities.conditional_put
    assert "If-None-Match and If-Match" in abilities.sentence
    assert not abilities.versioned_source


def test_a_store_without_tags_has_none(server: Server) -> None:
    server.replies = [error(404, "NoSuchTagSet"), error(404, "NoSuchVersion")]
    store = server.store()
    assert store.tags(REF) == {}
    with pytest.raises(ObjectGone):
        store.tags(REF)


def test_missing_credentials_name_their_settings(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(StoreUnavailable, match="MAREA_STORE__ACCESS_KEY"):
        server.store(access_key="", secret_key="").head("uploads", "k")


def test_an_address_that_is_none_names_its_setting(server: Server) -> None:
    with pytest.raises(ConfigError, match="MAREA_STORE__ENDPOINT_URL"):
        server.store(endpoint_url="not an address").head("uploads", "k")


def test_forms_are_signed_for_the_public_address(server: Server) -> None:
    store = server.store(public_endpoint_url="https://files.example.org")
    form = store.presigned_post("uploads", "k", expires_s=60, min_bytes=1, max_bytes=9)
    assert form.url == "https://files.example.org/uploads"
    assert form.expires_at == FakeClock().now() + 60
    assert server.requests == []


def test_a_forked_process_opens_its_own_connection(server: Server) -> None:
    server.replies = [answer(200)]
    store = server.store()
    for _ in range(2):
        store.head("uploads", "k")
    child = os.fork()
    if child == 0:
        try:
            store.head("uploads", "k")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    store.head("uploads", "k")
    parent, again, forked, after = server.client_ports
    assert parent == again == after
    assert forked != parent


def test_importing_the_adapter_does_not_import_boto3() -> None:
    code = "import sys, marea.storage.s3; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
