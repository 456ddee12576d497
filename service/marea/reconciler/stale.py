"""Finds results of an older definition of their pipeline, for `marea rerender`."""

from __future__ import annotations

from collections.abc import Iterator

from marea.lifecycle.effects import ReadObject
from marea.lifecycle.finish import Place
from marea.messages.job import Job
from marea.messages.record import Record
from marea.perform import Performer
from marea.storage.naming import parse_record_key, records_prefix


def is_stale(performer: Performer, record: Record, digest: str) -> bool:
    """Whether the result that `record` tells of stands, and another definition made it.

    Of a content that was replaced since, the result was replaced too: nothing is stale.
    """
    if record.state != "done" or record.digest == digest:
        return False
    head = performer.ports.store.head(record.ref.bucket, record.ref.key)
    return head is not None and head.ref.identity == record.ref.identity


def stale_jobs(
    performer: Performer,
    place: Place,
    pipeline: str,
    digest: str,
    source_buckets: tuple[str, ...],
    pool: str,
) -> Iterator[Job]:
    """Done jobs of `pipeline` whose result is stale; reads each record."""
    for bucket in source_buckets:
        prefix, after = records_prefix(place.reserved_prefix, bucket), ""
        while True:
            page = performer.ports.store.list_objects(
                place.results_bucket, prefix=prefix, after=after
            )
            for row in page.rows:
                parsed = parse_record_key(row.key)
                if parsed is None or parsed[0] != pipeline:
                    continue
                body = performer.perform(ReadObject(place.results_bucket, row.key))
                record = Record.from_json(body.data) if body is not None else None
                if record is not None and is_stale(performer, record, digest):
                    yield Job(
                        ref=record.ref,
                        pipeline=pipeline,
                        pool=pool,
                        tenant=record.tenant,
                        route=record.route,
                        origin="api",
                    )
            if page.next_after is None:
                break
            after = page.next_after
