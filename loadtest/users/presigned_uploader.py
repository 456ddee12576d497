"""Uploads by a form that the gateway signs: what a browser does that has no key of the store's."""

from __future__ import annotations

import time

import requests

from loadtest.files import LoadFile
from loadtest.history import Outcome
from loadtest.recorded_put import etag_of, finished_put
from loadtest.runs.data import Way
from loadtest.schedule import Arrival
from loadtest.users.sender import Sender, Sent

TIMEOUT_S = 30.0


class PresignedUploader(Sender):
    """A POST to the gateway for the form, and a POST of the form to the store."""

    way: Way = "presigned"

    def on_start(self) -> None:
        super().on_start()
        self.http = requests.Session()

    def upload(self, arrival: Arrival, file: LoadFile) -> Sent:
        etag = etag_of(file.body)
        target = self.session.target
        invoked_at = time.time()
        outcome: Outcome = "failed"
        problem, version_id = "", ""
        try:
            form = self.http.post(
                f"{target.gateway_url}/v1/uploads",
                json={
                    "bucket": target.source_bucket,
                    "key": arrival.key,
                    "content_type": file.content_type,
                },
                headers={"Authorization": f"Bearer {target.api_token}"},
                timeout=TIMEOUT_S,
            )
            if form.status_code != 201:
                problem = f"form: {form.status_code} {form.text[:200]}"
            else:
                outcome = "unknown"  # from here on it may have happened
                body = form.json()
                answer = self.http.post(
                    body["url"],
                    data=body["fields"],
                    files={"file": ("file", file.body, file.content_type)},
                    timeout=TIMEOUT_S,
                )
                outcome, problem = _judged(answer)
                version_id = answer.headers.get("x-amz-version-id", "")
                etag = answer.headers.get("ETag", etag).strip('"')
        except (requests.RequestException, ValueError, KeyError) as exc:
            problem = f"{type(exc).__name__}: {exc}"[:200]
        operation = finished_put(
            target.source_bucket,
            arrival.key,
            file.body,
            invoked_at=invoked_at,
            outcome=outcome,
            etag=etag,
            version_id=version_id,
            oracle=file.oracle,
            pipelines=file.pipelines,
            expected=file.expected,
        )
        self.session.notebook.record(operation)
        return Sent(operation, problem)


def _judged(answer: requests.Response) -> tuple[Outcome, str]:
    if answer.status_code in (200, 201, 204):
        return "ok", ""
    outcome: Outcome = "failed" if 400 <= answer.status_code < 500 else "unknown"
    return outcome, f"store: {answer.status_code} {answer.text[:200]}"
