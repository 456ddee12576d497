"""The webhook notifier against a real HTTP server in a thread."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import pytest
from pydantic import SecretStr

from marea.clock import FakeClock
from marea.errors import PermanentError, TransientError
from marea.messages.notification import Notification
from marea.notify.signature import verify
from marea.notify.webhook import WebhookNotifier
from marea.settings import NotifySettings

SECRET = "s3cret"
TIMEOUT_S = 0.5


@dataclass
class Receiver:
    """What arrived, and how to answer it."""

    url: str = ""
    status: int = 204
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hang_up: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, dict(self.headers.items()), body))
            if receiver.answer is not None:
                receiver.answer(self)
                return
            self.send_response(receiver.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield receiver
    receiver.hang_up.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def notifier(clock: FakeClock) -> WebhookNotifier:
    return WebhookNotifier(NotifySettings(secret=SecretStr(SECRET), timeout_s=TIMEOUT_S), clock)


def notice(url: str) -> Notification:
    return Notification("job-1-done", "job-1", url, {"state": "done", "key": "año\udcff.jpg"})


def test_posts_the_body_as_json_with_its_delivery_id(
    receiver: Receiver, notifier: WebhookNotifier
) -> None:
    notifier.send(notice(receiver.url))
    ((path, headers, body),) = receiver.requests
    assert path == "/hook"
    assert headers["Content-Type"] == "application/json"
    assert headers["Marea-Delivery"] == "job-1-done"
    assert json.loads(body) == {"state": "done", "key": "año\udcff.jpg"}


def test_signs_what_it_sends(
    receiver: Receiver, notifier: WebhookNotifier, clock: FakeClock
) -> None:
    notifier.send(notice(receiver.url))
    ((_, headers, body),) = receiver.requests
    assert verify(SECRET, headers["Marea-Signature"], body, now=clock.now())
    assert headers["Marea-Signature"].startswith(f"t={int(clock.now())},v1=")


def test_sends_unsigned_without_a_secret(receiver: Receiver, clock: FakeClock) -> None:
    WebhookNotifier(NotifySettings(), clock).send(notice(receiver.url))
    ((_, headers, _),) = receiver.requests
    assert "Marea-Signature" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_takes_any_2xx_as_delivered(
    receiver: Receiver, notifier: WebhookNotifier, status: int
) -> None:
    receiver.status = status
    notifier.send(notice(receiver.url))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_gives_up_on_a_refusal(receiver: Receiver, notifier: WebhookNotifier, status: int) -> None:
    receiver.status = status
    with pytest.raises(PermanentError, match=str(status)) as caught:
        notifier.send(notice(receiver.url))
    assert caught.value.code == "notify-refused"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 408, 425, 429, 500, 502, 503])
def test_asks_to_be_tried_again_once_and_follows_no_redirect(
    receiver: Receiver, notifier: WebhookNotifier, status: int
) -> None:
    receiver.status = status
    with pytest.raises(TransientError, match=str(status)):
        notifier.send(notice(receiver.url))
    assert [path for path, _, _ in receiver.requests] == ["/hook"]


def test_asks_to_be_tried_again_when_nobody_listens(notifier: WebhookNotifier) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        with pytest.raises(TransientError):
            notifier.send(notice(f"http://127.0.0.1:{unused.getsockname()[1]}/"))


def test_gives_a_silent_receiver_no_more_than_the_timeout(
    receiver: Receiver, notifier: WebhookNotifier
) -> None:
    receiver.answer = lambda _: receiver.hang_up.wait(30) and None
    started = monotonic()
    with pytest.raises(TransientError):
        notifier.send(notice(receiver.url))
    assert monotonic() - started < 4 * TIMEOUT_S


def test_is_not_held_by_a_receiver_that_trickles_its_answer(
    receiver: Receiver, notifier: WebhookNotifier
) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not receiver.hang_up.wait(TIMEOUT_S / 5):
                handler.wfile.write(b"x")
        except OSError:
            pass  # the notifier hung up

    receiver.answer = trickle
    started = monotonic()
    with pytest.raises(TransientError):
        notifier.send(notice(receiver.url))
    assert monotonic() - started < 4 * TIMEOUT_S


def test_does_not_wait_for_a_long_answer(receiver: Receiver, notifier: WebhookNotifier) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while not receiver.hang_up.wait(0.01):
                handler.wfile.write(b"x" * 1000)
        except OSError:
            pass  # the notifier hung up

    receiver.answer = endless
    notifier.send(notice(receiver.url))


def test_asks_to_be_tried_again_after_an_answer_that_is_not_http(
    receiver: Receiver, notifier: WebhookNotifier
) -> None:
    receiver.answer = lambda handler: handler.wfile.write(b"220 smtp ready\r\n\r\n") and None
    with pytest.raises(TransientError):
        notifier.send(notice(receiver.url))


@pytest.mark.parametrize("url", ["", "no-scheme/hook", "ftp://host/", "http://a:b/", "http:///x"])
def test_gives_up_on_an_address_that_is_none(notifier: WebhookNotifier, url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        notifier.send(notice(url))
    assert caught.value.code == "notify-refused"
