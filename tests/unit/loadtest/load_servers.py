"""A server of canned answers on a port of this machine, for what asks by HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body."""

    status: int
    body: bytes = b""


@contextmanager
def answering(pages: Mapping[str, Answer]) -> Iterator[str]:
    """The address of a server that answers each GET by its path without the query; "*" = all
    others, which are 404 without it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].rstrip("/")
            answer = pages.get(path) or pages.get("*", Answer(404, b"not here"))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing into the tests' output."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def closed_port() -> Iterator[str]:
    """An address at which nobody listens, and nobody else can begin to meanwhile."""
    with socket.socket() as held:
        held.bind((HOST, 0))  # bound and not listening: whoever connects is refused
        yield f"http://{HOST}:{held.getsockname()[1]}"
