"""A port that answers a probe with the verdict on the process's own liveness file.

For Kubernetes: a probe that starts a program pays for an interpreter each time (0.12 s of a
processor for `marea worker --check-liveness`, every few seconds, in every pod), and on a busy
node that program is what times out, which restarts workers because they are busy. An answer from
within costs nothing. It says no more than the file does: a thread that answers proves
nothing about the loop beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from marea.errors import ConfigError

Verdict = tuple[bool, str]
"""Whether the process lives, and a sentence that says why."""


def answer_probes(host: str, port: int, judge: Callable[[], Verdict]) -> ThreadingHTTPServer:
    """Answer every GET with 200 or 503 and the sentence, in a thread, until the process ends.

    `port` 0 = any free one. Raises `ConfigError` if the port cannot be had.
    """

    class Probe(BaseHTTPRequestHandler):
        timeout = 5.0  # seconds; a caller that says nothing holds a thread no longer

        def do_GET(self) -> None:
            is_live, sentence = judge()
            body = f"{sentence}\n".encode()
            self.send_response(200 if is_live else 503)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A line for each probe would bury the others."""

    try:
        server = ThreadingHTTPServer((host, port), Probe)
    except OSError as exc:
        raise ConfigError([f"port {port} for probes cannot be listened on: {exc}"]) from exc
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server
