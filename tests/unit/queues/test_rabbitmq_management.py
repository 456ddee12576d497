"""What a management API does not say is not zero."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from marea.queues.rabbitmq_management import count_unacked

ROWS: list[dict[str, Any]] = [
    {"name": "images.high", "messages_unacknowledged": 3},
    {"name": "images.normal", "messages_unacknowledged": 0},
    {"name": "tables.high"},
]
"""The last one as RabbitMQ 4.0 tells a queue without statistics, all of them where
`management_metrics_collection` is not permitted."""


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(ROWS).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """pytest has its own."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://marea:secret@127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_queue_without_statistics_holds_an_unknown_number(address: str) -> None:
    assert count_unacked(address, "marea", 5.0) == {
        "images.high": 3,
        "images.normal": 0,
        "tables.high": None,
    }
