"""Uploads straight to the bucket, and then asks the job API for a pipeline of its choice."""

from __future__ import annotations

import requests

from loadtest.files import LoadFile, make_file, with_thumbnail
from loadtest.runs.data import Way
from loadtest.schedule import Arrival
from loadtest.users.s3_uploader import put_to_bucket
from loadtest.users.sender import Sender, Sent

PIPELINE = "thumbnail"
API_TIMEOUT_S = 30.0


class Submitter(Sender):
    """A PUT and a POST: the rules' own result, and a thumbnail besides."""

    way: Way = "job"

    def on_start(self) -> None:
        super().on_start()
        self.api = self.session.open_api()

    def file_of(self, arrival: Arrival) -> LoadFile:
        return with_thumbnail(make_file(arrival.kind, arrival.key, arrival.serial), arrival.key)

    def upload(self, arrival: Arrival, file: LoadFile) -> Sent:
        sent = put_to_bucket(self.session, arrival, file)
        if sent.operation.outcome != "ok":
            return sent
        body = {
            "bucket": sent.operation.bucket,
            "key": arrival.key,
            "version_id": sent.operation.version_id,
            "pipeline": PIPELINE,
        }
        try:
            answer = self.api.post(
                f"{self.session.target.gateway_url}/v1/jobs", json=body, timeout=API_TIMEOUT_S
            )
        except requests.RequestException as exc:
            return Sent(sent.operation, f"job API: {type(exc).__name__}")
        if answer.status_code not in (200, 202):
            return Sent(sent.operation, f"job API: {answer.status_code} {answer.text[:200]}")
        return sent
