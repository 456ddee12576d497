"""Carries out an audit: lists the buckets, reads the records, asks the ledger what is open.

Read-only. The records are read with a few threads; everything else is one request a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from marea.lifecycle.accept import plan_with_facts
from marea.lifecycle.audit import (
    Audit,
    repeated_jobs,
    shared_results,
    suspect_results,
    version_class,
)
from marea.lifecycle.commit import META_JOB
from marea.lifecycle.finish import Place
from marea.messages.job import Job
from marea.messages.record import Record
from marea.perform import Performer
from marea.reconciler.stale import is_stale
from marea.routing.route import UploadFacts
from marea.storage.naming import parse_record_key, records_prefix
from marea.storage.object_store import ListedVersion
from marea.wiring import Declarations

READERS = 8
"""Threads that read records; arbitrary, enough to hide a store's round trip."""

Progress = Callable[[str, int], None]
"""Told a phase and how many it has handled so far."""


def audit(
    performer: Performer,
    declarations: Declarations,
    place: Place,
    source_buckets: tuple[str, ...],
    progress: Progress = lambda _phase, _count: None,
) -> Audit:
    """Compare every listed version with the records. Raises `StoreUnavailable`,
    `LedgerUnavailable`."""
    result = Audit()
    records = _read_records(performer, place, source_buckets, progress)
    for bucket in source_buckets:
        batch: list[tuple[ListedVersion, tuple[Job, ...]]] = []
        for row in _versions(performer, bucket):
            result.versions += 1
            plan = performer.run(
                plan_with_facts(UploadFacts(row.ref, row.last_modified), declarations.rules.plan)
            )
            if plan.outcome != "routed":
                result.classes[plan.outcome] += 1
            else:
                batch.append((row, plan.jobs))
            if len(batch) >= 1000:
                _classify(batch, records, performer, result)
                batch = []
            progress("comparing", result.versions)
        _classify(batch, records, performer, result)
    result.stale = _count_stale(performer, declarations, records)
    result.duplicates = shared_results(records.values())
    result.duplicates += _repeated(performer, place, records, progress)
    return result


def _versions(performer: Performer, bucket: str) -> Iterator[ListedVersion]:
    after = None
    while True:
        page = performer.ports.store.list_versions(bucket, after=after)
        yield from (row for row in page.rows if not row.is_delete_marker)
        after = page.next
        if after is None:
            return


def _read_records(
    performer: Performer, place: Place, source_buckets: tuple[str, ...], progress: Progress
) -> dict[str, Record]:
    store = performer.ports.store

    def names() -> Iterator[str]:
        for bucket in source_buckets:
            prefix, after = records_prefix(place.reserved_prefix, bucket), ""
            while True:
                page = store.list_objects(place.results_bucket, prefix=prefix, after=after)
                yield from (row.key for row in page.rows if parse_record_key(row.key))
                if page.next_after is None:
                    break
                after = page.next_after

    def read(name: str) -> Record | None:
        head = store.head(place.results_bucket, name)
        if head is None:
            return None
        return Record.from_json(store.get(head.ref).data)

    records: dict[str, Record] = {}
    with ThreadPoolExecutor(READERS) as readers:
        for record in readers.map(read, names()):
            if record is not None:
                records[record.job_id] = record
                progress("reading records", len(records))
    return records


def _classify(
    batch: list[tuple[ListedVersion, tuple[Job, ...]]],
    records: dict[str, Record],
    performer: Performer,
    result: Audit,
) -> None:
    if not batch:
        return
    rows = performer.ports.ledger.load_many(
        [job.id for _, jobs in batch for job in jobs if job.id not in records]
    )
    for version, jobs in batch:
        classes: list[str] = []
        for job in jobs:
            record, row = records.get(job.id), rows.get(job.id)
            if record is not None:
                classes.append(record.state)
            elif row is not None and not row.is_terminal:
                classes.append("in_flight")
            else:
                classes.append("missing")
                result.missing.append(
                    f"{version.ref.bucket}/{version.ref.key}@{version.ref.identity} {job.pipeline}"
                )
        result.classes[version_class(classes)] += 1


def _count_stale(
    performer: Performer, declarations: Declarations, records: dict[str, Record]
) -> int:
    """What `marea rerender` would make anew, whether a rule or a client chose the pipeline."""
    return sum(
        is_stale(performer, record, pipeline.digest)
        for record in records.values()
        if (pipeline := declarations.pipelines.get(record.pipeline)) is not None
    )


def _repeated(
    performer: Performer, place: Place, records: dict[str, Record], progress: Progress
) -> list[str]:
    """Result keys that one job wrote more than once, by the metadata of their versions."""
    stored: Counter[tuple[str, str]] = Counter()
    for row in _versions(performer, place.results_bucket):
        if not row.ref.key.startswith(place.reserved_prefix):
            stored[row.ref.bucket, row.ref.key] += 1
            progress("listing results", len(stored))
    repeated = []
    for bucket, key in suspect_results(records.values(), stored):
        page = performer.ports.store.list_versions(bucket, prefix=key)
        heads = [
            performer.ports.store.head_version(row.ref)
            for row in page.rows
            if row.ref.key == key and not row.is_delete_marker
        ]
        jobs = [head.metadata.get(META_JOB, "") for head in heads if head is not None]
        repeated += [
            f"{bucket}/{key}: written more than once by job {job_id}"
            for job_id in repeated_jobs(jobs, records)
        ]
    return repeated
