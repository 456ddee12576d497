"""Somebody who looks what became of an upload: the results bucket, and the job API."""

from __future__ import annotations

import time

import requests
from botocore.exceptions import BotoCoreError, ClientError
from locust import User, constant_pacing, task

from loadtest.users.session import current_session

PATIENCE_S = 120.0
"""A watcher goes away then; the checker does not."""
POLL_S = 0.25


class Watcher(User):
    """Takes the latest upload, waits for its result, and lists jobs now and then.

    What it fires is a client's view, for Locust's own pages: the report takes the store's times.
    """

    wait_time = constant_pacing(1.0)

    def on_start(self) -> None:
        self.session = current_session()
        self.api = self.session.open_api()

    @task(4)
    def await_result(self) -> None:
        if not self.session.latest:
            return
        operation = self.session.latest[-1]
        key, deadline = operation.expected[0].key, time.time() + PATIENCE_S
        problem: Exception | None = None
        while not self._is_there(key):
            if self.session.line.has_ended:
                return
            if time.time() > deadline:
                problem = TimeoutError(f"no result within {PATIENCE_S:.0f} s")
                break
            time.sleep(POLL_S)
        self._fire("result, from the upload", operation.invoked_at, problem)

    def _is_there(self, key: str) -> bool:
        bucket = self.session.target.results_bucket
        try:
            self.session.client.head_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError):
            return False
        return True

    @task(1)
    def list_jobs(self) -> None:
        if not self.session.target.gateway_url:
            return
        began_at = time.time()
        problem: Exception | None = None
        try:
            answer = self.api.get(
                f"{self.session.target.gateway_url}/v1/jobs?limit=20", timeout=30.0
            )
            answer.raise_for_status()
        except requests.RequestException as exc:
            problem = exc
        self._fire("list of jobs", began_at, problem)

    def _fire(self, name: str, began_at: float, problem: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="watch",
            name=name,
            response_time=(time.time() - began_at) * 1000,
            response_length=0,
            exception=problem,
            context={},
        )
