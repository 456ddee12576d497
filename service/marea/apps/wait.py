"""Wait until a Redis can be connected to: `python3 -m marea.apps.wait`, before Celery starts.

redis-py connects without a time limit unless the application sets one. Where a Service has no
endpoint yet, Linux then keeps the network's refusal in the socket's error queue, tries again after
a second and connects. That socket polls as broken for ever, though it works; kombu reads from it at
once, without a time limit, and the worker stands still: it fetches nothing and answers nobody. One
that begins after the broker has accepted a connection never meets this. RabbitMQ's client sets a
limit, with which the refusal is an error as any.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from marea.clock import Clock, SystemClock

PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379}
CONNECT_S = 2.0
"""Arbitrary. Any limit makes a refusal an error; see above."""
PAUSE_S = 0.25
TELL_EVERY_S = 10.0


def addresses(url: str) -> Sequence[tuple[str, int]]:
    """Host and port of each server that `url` names (several are separated by `;`); none where it
    is not of a Redis, or cannot be read: what is wrong with it, Celery says."""
    found = []
    for each in url.split(";"):
        try:
            parts = urlsplit(each)
            if parts.scheme in PORTS and parts.hostname:
                found.append((parts.hostname, parts.port or PORTS[parts.scheme]))
        except ValueError:
            continue
    return found


def wait(servers: Sequence[tuple[str, int]], clock: Clock) -> None:
    """Return once one of `servers` accepts a connection; at once where there is none. Says each
    10 s what it waits for."""
    told_at = None
    while servers:
        why = ""
        for host, port in servers:
            try:
                socket.create_connection((host, port), CONNECT_S).close()
                return
            except OSError as exc:
                why = f"{host}:{port}: {exc}"
        now = clock.now()
        if told_at is None or now - told_at >= TELL_EVERY_S:
            told_at = now
            print(f"waiting for the broker at {why}", file=sys.stderr, flush=True)
        clock.sleep(PAUSE_S)


if __name__ == "__main__":
    # Celery's variable, not a setting of ours.
    url = os.environ.get("CELERY_BROKER_URL", "")  # noqa: TID251
    wait(addresses(url), SystemClock())
