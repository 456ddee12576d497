"""Uploads straight to the bucket, by S3."""

from __future__ import annotations

from loadtest.files import LoadFile
from loadtest.recorded_put import put_load_file
from loadtest.runs.data import Way
from loadtest.schedule import Arrival
from loadtest.users.sender import Sender, Sent
from loadtest.users.session import Session


class S3Uploader(Sender):
    """A PUT, as any S3 client does it."""

    way: Way = "s3"

    def upload(self, arrival: Arrival, file: LoadFile) -> Sent:
        return put_to_bucket(self.session, arrival, file)


def put_to_bucket(session: Session, arrival: Arrival, file: LoadFile) -> Sent:
    problems: list[str] = []
    bucket = session.target.source_bucket
    operation = put_load_file(
        session.client, session.notebook, bucket, arrival.key, file, problems.append
    )
    return Sent(operation, "; ".join(problems))
