"""Sends bucket events to a gateway as fast as they are answered; a process of its own.

python -m loadtest.bench.event_load PORT BUCKET PREFIX --requests N --records N --connections N

Raw sockets and one loop over them: on two cores whatever the sender spends is missing on the
other side. The bodies are MinIO's, made before the clock starts; the objects in them exist in
no store, and need not, since such an event says all that the rules ask for. The token comes in
`MAREA_GATEWAY__EVENT_TOKEN`. Tells what was measured as one JSON line (`Answers`).
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any
from urllib.parse import quote_plus

from marea.up.servers import HOST

ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What a load was answered."""

    requests: int
    accepted: int
    """Answered 2xx."""
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    refusal: str = ""
    """The first other answer."""


@dataclass(slots=True)
class _Conversation:
    """One keep-alive connection with one request under way."""

    connection: socket.socket
    sent_at: float = 0.0
    received: bytes = b""

    def ask(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.received = b""
        self.connection.sendall(request)

    def hear(self) -> bool:
        """Take what has arrived; whether the answer is whole."""
        part = self.connection.recv(65536)
        if not part:
            raise ConnectionError("the gateway closed a connection")
        self.received += part
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return False
        _, _, rest = head.lower().partition(b"content-length:")
        return len(body) >= int(rest.partition(b"\r\n")[0])


def send_all(port: int, requests: list[bytes], connections: int) -> Answers:
    """Send `requests` over `connections`, each the next one when it has its answer.

    Raises OSError, also if nothing is answered for `ANSWER_TIMEOUT_S`.
    """
    waiting = iter(requests)
    times_ms: list[float] = []
    accepted, refusal = 0, ""
    with selectors.DefaultSelector() as selector:
        opened = [_Conversation(socket.create_connection((HOST, port))) for _ in range(connections)]
        for each in opened:
            each.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(each.connection, selectors.EVENT_READ, each)
        began = time.perf_counter()
        busy = 0
        for each, request in zip(opened, waiting, strict=False):
            each.ask(request)
            busy += 1
        while busy:
            ready = selector.select(ANSWER_TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"no answer for {ANSWER_TIMEOUT_S:g} s")
            for key, _ in ready:
                each = key.data
                if not each.hear():
                    continue
                times_ms.append((time.perf_counter() - each.sent_at) * 1e3)
                if each.received[9:10] == b"2":
                    accepted += 1
                else:
                    refusal = refusal or each.received.decode("utf-8", "replace")
                request = next(waiting, None)
                if request is None:
                    busy -= 1
                else:
                    each.ask(request)
        elapsed_s = time.perf_counter() - began
        for each in opened:
            each.connection.close()
    cuts = quantiles(times_ms, n=100)
    return Answers(len(requests), accepted, elapsed_s, cuts[49], cuts[98], refusal)


def make_requests(
    port: int, bucket: str, prefix: str, *, requests: int, records: int, token: str
) -> Iterator[bytes]:
    """`requests` whole HTTP requests, each with `records` uploads of keys of their own."""
    for number in range(requests):
        keys = [f"{prefix}/{number:06}-{place:03}.jpg" for place in range(records)]
        body = json.dumps(_notification(bucket, keys), separators=(",", ":")).encode()
        head = (
            f"POST /events/s3 HTTP/1.1\r\nHost: {HOST}:{port}\r\nUser-Agent: MinIO\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


def _notification(bucket: str, keys: list[str]) -> dict[str, Any]:
    return {
        "EventName": "s3:ObjectCreated:Put",
        "Key": f"{bucket}/{keys[0]}",
        "Records": [_record(bucket, key) for key in keys],
    }


def _record(bucket: str, key: str) -> dict[str, Any]:
    """As MinIO writes it (captured)."""
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "eventName": "s3:ObjectCreated:Put",
        "userIdentity": {"principalId": "marea"},
        "requestParameters": {
            "principalId": "marea",
            "region": "",
            "sourceIPAddress": "127.0.0.1",
        },
        "responseElements": {
            "x-amz-id-2": "dd9025bab4ad464b049177c95eb6ebf374d3b3fd1af9251148b658df7ac2e3e8",
            "x-amz-request-id": "1879A3B1C2D4E5F6",
            "x-minio-deployment-id": "0d7f3b1e-8f0f-4c51-9c68-2f0a4a3f1c58",
            "x-minio-origin-endpoint": "http://127.0.0.1:9000",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "marea"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": quote_plus(key),
                "size": 1_842_113,
                "eTag": uuid.uuid4().hex,
                "contentType": "image/jpeg",
                "userMetadata": {"content-type": "image/jpeg"},
                "versionId": str(uuid.uuid4()),
                "sequencer": "1879A3B1C2D4E5F6",
            },
        },
        "source": {
            "host": "127.0.0.1",
            "port": "",
            "userAgent": "MinIO (linux; amd64) minio-go/v7.0.80",
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("port", type=int)
    parser.add_argument("bucket")
    parser.add_argument("prefix")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    chosen = parser.parse_args()
    requests = list(
        make_requests(
            chosen.port,
            chosen.bucket,
            chosen.prefix,
            requests=chosen.requests,
            records=chosen.records,
            token=os.environ["MAREA_GATEWAY__EVENT_TOKEN"],
        )
    )
    print(json.dumps(asdict(send_all(chosen.port, requests, chosen.connections))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
