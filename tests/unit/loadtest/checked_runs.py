"""Runs for the checker, built as a faultless platform would leave them.

`Run` keeps one mutable list per input of `judge`, so that a test breaks exactly one thing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from loadtest.evidence import (
    RecordClaim,
    ResultVersion,
    SourceVersion,
    Verdict,
    expected_job_id,
    key_hash,
)
from loadtest.history import Expected, Operation, Oracle, Outcome
from loadtest.judge import judge

BUCKET = "uploads"


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def result_key(key: str) -> str:
    return f"{key}_processed"


@dataclass
class Run:
    """Grows by what clients do; `settle` adds what becomes of it."""

    versioned: bool = True
    history: list[Operation] = field(default_factory=list)
    sources: list[SourceVersion] = field(default_factory=list)
    results: list[ResultVersion] = field(default_factory=list)
    records: list[RecordClaim] = field(default_factory=list)
    now: float = 0.0

    def put(
        self,
        key: str,
        content: str,
        oracle: Oracle = "good",
        outcome: Outcome = "ok",
        *,
        happened: bool = True,
    ) -> SourceVersion | None:
        """One PUT; the version that the bucket then lists, if it happened."""
        self.now += 1
        etag = digest("etag", content)[:32]
        version_id = f"v{self.now:04.0f}" if self.versioned else ""
        self.history.append(
            Operation(
                op="put",
                bucket=BUCKET,
                key=key,
                invoked_at=self.now,
                completed_at=self.now + 0.5,
                outcome=outcome,
                etag=etag,
                version_id=version_id if outcome == "ok" else "",
                size_bytes=len(content),
                oracle=oracle,
                pipelines=("grayscale",) if oracle in ("good", "bad") else (),
                expected=(
                    (Expected(result_key(key), "grayscale", f"sha256:{digest(key, content)}"),)
                    if oracle == "good"
                    else ()
                ),
            )
        )
        if not happened:
            return None
        version = SourceVersion(BUCKET, key, version_id, etag, len(content))
        self._make_room(key)
        self.sources.insert(0, version)
        return version

    def delete(self, key: str) -> None:
        """Put a delete marker, or remove the content where there are no versions."""
        self.now += 1
        self.history.append(Operation("delete", BUCKET, key, self.now, "ok", self.now + 0.5))
        self._make_room(key)
        if self.versioned:
            marker = SourceVersion(BUCKET, key, f"v{self.now:04.0f}", "", is_delete_marker=True)
            self.sources.insert(0, marker)

    def _make_room(self, key: str) -> None:
        if self.versioned:
            self.sources[:] = [
                replace(row, is_latest=False) if row.key == key else row for row in self.sources
            ]
        else:
            self.sources[:] = [row for row in self.sources if row.key != key]

    def done(self, source: SourceVersion, content: str) -> None:
        """The friendly result of `source`, and its record."""
        key = result_key(source.key)
        self.results[:] = [
            replace(row, is_latest=False) if row.key == key else row for row in self.results
        ]
        self.results.insert(0, self.result_of(source, key, digest(source.key, content)))
        self.end(source, "done", outputs=[{"key": key, "sha256": digest(source.key, content)}])

    def result_of(self, source: SourceVersion, key: str, sha256: str) -> ResultVersion:
        return ResultVersion(
            key=key,
            version_id=f"r{len(self.results)}",
            etag=sha256[:32],
            size_bytes=10,
            metadata={
                "marea-job": expected_job_id(BUCKET, source.key, source.identity, "grayscale"),
                "marea-source": source.identity,
                "marea-key-sha256": key_hash(BUCKET, source.key),
                "marea-pipeline": "grayscale",
                "marea-digest": "d1",
            },
            sha256=sha256,
        )

    def end(
        self,
        source: SourceVersion,
        state: str,
        code: str = "",
        outputs: list[dict[str, Any]] | None = None,
    ) -> None:
        """A record, written once; without versions, A→B→A replaces A's."""
        job_id = expected_job_id(BUCKET, source.key, source.identity, "grayscale")
        name = f".marea/records/{BUCKET}/{source.key}!grayscale.{job_id}"
        before = [record for record in self.records if record.name == name]
        self.records[:] = [record for record in self.records if record.name != name]
        body = {
            "job_id": job_id,
            "state": state,
            "code": code,
            "pipeline": "grayscale",
            "outputs": outputs or [],
            "ref": {
                "bucket": BUCKET,
                "key": source.key,
                "version_id": source.version_id,
                "etag": source.etag,
                "size_bytes": source.size_bytes,
            },
        }
        self.records.append(RecordClaim(name, body, 1 + sum(r.stored_versions for r in before)))

    def verdict(self) -> Verdict:
        rows = sorted(self.sources, key=lambda row: row.key)  # stable: newest first per key
        return judge(self.history, rows, self.results, self.records)

    def kinds(self) -> set[str]:
        """The kinds of all findings."""
        return {finding.kind for finding in self.verdict().findings}


def good_run() -> Run:
    """Three keys, two versions of one of them, one bad upload; all as it should be."""
    run = Run()
    for key, content in (("a.jpg", "a1"), ("a.jpg", "a2"), ("b.jpg", "b1")):
        version = run.put(key, content)
        assert version is not None
        run.done(version, content)
    bad = run.put("c.jpg", "broken", oracle="bad")
    assert bad is not None
    run.end(bad, "rejected", "image-truncated")
    return run
