"""What is judged: the final listings and the records' claims, and the verdict on them.

Plain data. The collector fills it from the store; tests fill it by hand. A record is only a
claim: everything it says is checked against the listings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

META_SOURCE, META_KEY = "marea-source", "marea-key-sha256"
META_PIPELINE, META_DIGEST = "marea-pipeline", "marea-digest"
"""Names of the user metadata that every artifact carries, as documented."""


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """One row of ListObjectVersions of the source bucket; `version_id` "" = no versions."""

    bucket: str
    key: str
    version_id: str
    etag: str
    size_bytes: int = 0
    is_latest: bool = True
    is_delete_marker: bool = False

    @property
    def identity(self) -> str:
        """The version id, else the ETag: what tells one upload of a key from another."""
        return self.version_id or f"etag:{self.etag}"


@dataclass(frozen=True, slots=True)
class ResultVersion:
    """One row of ListObjectVersions of the results bucket, outside the reserved prefix."""

    key: str
    version_id: str
    etag: str
    size_bytes: int
    is_latest: bool = True
    is_delete_marker: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    """User metadata, names in lower case."""
    sha256: str = ""
    """Of the body as downloaded."""
    shape: str = ""
    """What the body's first bytes say: `image:640x480:RGB`, `json`, or ""."""


@dataclass(frozen=True, slots=True)
class RecordClaim:
    """One object under the records' prefix."""

    name: str
    body: Mapping[str, Any] | None
    """None = not a JSON object."""
    stored_versions: int = 1
    """How often it was written, where the bucket keeps versions."""


Violation = Literal["lost", "duplicated", "unexpected", "wrong", "out_of_order"]
VIOLATIONS: tuple[Violation, ...] = ("lost", "duplicated", "unexpected", "wrong", "out_of_order")


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise, or one upload that the store itself lost (`vanished`)."""

    kind: str
    key: str
    identity: str
    reason: str


@dataclass(slots=True)
class Verdict:
    """What the run proved. Valid only if something was checked and nothing is violated."""

    findings: list[Finding] = field(default_factory=list)
    acknowledged: int = 0
    """PUTs that the store answered with success."""
    checked: int = 0
    """Listed source versions that were judged."""
    results: int = 0
    """Stored result versions that were judged."""
    recovered: int = 0
    """PUTs without an answer that turned out to have happened."""

    def add(self, kind: str, key: str, identity: str, reason: str) -> None:
        self.findings.append(Finding(kind, key, identity, reason))

    def of_kind(self, kind: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def is_valid(self) -> bool:
        """`vanished` does not count: the store's fault, reported apart."""
        return self.checked > 0 and not any(finding.kind in VIOLATIONS for finding in self.findings)

    def summary(self) -> dict[str, Any]:
        """Counts, then every finding, ready for JSON."""
        counts: dict[str, Any] = {
            kind: len(self.of_kind(kind)) for kind in (*VIOLATIONS, "vanished")
        }
        return {
            "valid": self.is_valid,
            "acknowledged": self.acknowledged,
            "checked": self.checked,
            "results": self.results,
            "recovered": self.recovered,
            **counts,
            "findings": [
                {
                    "kind": finding.kind,
                    "key": finding.key,
                    "identity": finding.identity,
                    "reason": finding.reason,
                }
                for finding in self.findings
            ],
        }


def expected_job_id(bucket: str, key: str, identity: str, pipeline: str) -> str:
    """The documented job id, computed anew: 32 hex digits."""
    text = "\0".join((bucket, key, identity, pipeline))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def key_hash(bucket: str, key: str) -> str:
    """The documented `marea-key-sha256`, computed anew."""
    return hashlib.sha256(f"{bucket}\0{key}".encode("utf-8", "surrogateescape")).hexdigest()
