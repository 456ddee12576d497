"""A PUT into a connected bucket reaches the webhook, authenticated, also after an outage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from servers import started_server
from waiting import wait_until

from marea.errors import StoreUnavailable
from marea.storage.s3_admin import S3Admin
from marea.up.minio_server import MinioServer, webhook_environment
from marea.up.servers import free_port

TOKEN = "t0ken"


def test_events_arrive_with_the_token_and_wait_while_nobody_listens() -> None:
    port = free_port()
    with started_server(MinioServer) as minio:
        minio.stop()
        url = f"http://127.0.0.1:{port}/events"
        minio.start(env=webhook_environment(url, TOKEN, minio.folder / "events"))
        admin = S3Admin(minio.endpoint_url, minio.access_key, minio.secret_key)
        admin.create_bucket("uploads", versioned=True)
        admin.create_bucket("uploads", versioned=True)
        admin.connect_bucket_events("uploads")
        client = _client(minio)

        version = client.put_object(Bucket="uploads", Key="early.jpg", Body=b"1")["VersionId"]
        with _receiver(port) as requests:
            client.put_object(Bucket="uploads", Key="late.jpg", Body=b"2")
            keys = wait_until(lambda: _keys(requests, 2), "both events arrived", timeout_s=30)

        assert set(keys) == {"early.jpg", "late.jpg"}
        assert keys["early.jpg"] == version
        assert {request[0] for request in requests} == {f"Bearer {TOKEN}"}


def test_what_the_store_refuses_is_said(minio: MinioServer) -> None:
    admin = S3Admin(minio.endpoint_url, minio.access_key, minio.secret_key, give_up_after_s=0)
    with pytest.raises(StoreUnavailable, match="create bucket 'No'"):
        admin.create_bucket("No", versioned=False)


def _client(minio: MinioServer):
    return boto3.client(
        "s3",
        endpoint_url=minio.endpoint_url,
        aws_access_key_id=minio.access_key,
        aws_secret_access_key=minio.secret_key,
        region_name="us-east-1",
    )


@contextmanager
def _receiver(port: int) -> Iterator[list[tuple[str, dict]]]:
    requests: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.headers.get("Authorization", ""), json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _keys(requests: list[tuple[str, dict]], count: int) -> dict[str, str] | None:
    objects = [
        record["s3"]["object"] for _, body in list(requests) for record in body.get("Records", [])
    ]
    found = {item["key"]: item["versionId"] for item in objects}
    return found if len(found) >= count else None
