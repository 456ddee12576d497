"""A steady client: uploads a photograph, then polls the results bucket for its result.

The store's address comes from the MAREA_STORE__ variables of `marea.env`. With
MAREA_LOAD_HISTORY=FILE every upload is recorded for `python -m loadtest.check`.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from locust import User, constant_pacing, task

from loadtest.collect import StoreAddress, open_client
from loadtest.history import Expected, HistoryWriter
from loadtest.recorded_put import put_recorded

PHOTO = Path(__file__).parents[1] / "demo" / "photos" / "coffee.jpg"
RESULT_TIMEOUT_S = 60.0
POLL_S = 0.2


class Uploader(User):
    """Two uploads a second at most, never a new one before the last one's result."""

    wait_time = constant_pacing(0.5)

    def on_start(self) -> None:
        endpoint_url = os.environ.get("MAREA_STORE__ENDPOINT_URL") or self.host
        if not endpoint_url:
            raise SystemExit("no store: load DATA/marea.env into the environment, or give --host")
        self.client: Any = open_client(
            StoreAddress(
                endpoint_url,
                os.environ.get("MAREA_STORE__ACCESS_KEY", ""),
                os.environ.get("MAREA_STORE__SECRET_KEY", ""),
            )
        )
        self.body = PHOTO.read_bytes()
        self.history = HistoryWriter(Path(os.environ.get("MAREA_LOAD_HISTORY", os.devnull)))

    @task
    def upload_and_await_result(self) -> None:
        stem = f"load/{uuid.uuid4().hex}"
        result_key = f"{stem}_processed.jpg"
        began = time.perf_counter()
        put = put_recorded(
            self.client,
            self.history,
            "uploads",
            f"{stem}.jpg",
            self.body,
            content_type="image/jpeg",
            oracle="good",
            expected=(Expected(result_key, "grayscale", "image:600x400:L"),),
        )
        is_ok = put.outcome == "ok"
        self._fire("upload", began, None if is_ok else RuntimeError(f"outcome {put.outcome}"))
        if is_ok:
            self._fire("result", began, self._await_result(result_key))

    def _await_result(self, key: str) -> Exception | None:
        deadline = time.perf_counter() + RESULT_TIMEOUT_S
        while time.perf_counter() < deadline:
            try:
                self.client.head_object(Bucket="results", Key=key)
            except (ClientError, BotoCoreError):
                time.sleep(POLL_S)  # gevent's, under Locust: other users go on
            else:
                return None
        return TimeoutError(f"no result within {RESULT_TIMEOUT_S:.0f} s")

    def _fire(self, name: str, began: float, exception: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="S3",
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=len(self.body) if name == "upload" else 0,
            exception=exception,
            context={},
        )
