"""The terminal record: the one proof that a job is over (design rules 2 and 3).

One small object per job under the reserved prefix of the results bucket, written once. It
outlives the ledger and the results it lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from marea.messages.objects import ObjectRef

TerminalState = Literal["done", "superseded", "rejected", "dead", "cancelled", "gone"]
TERMINAL_STATES: tuple[TerminalState, ...] = (
    "done",
    "superseded",
    "rejected",
    "dead",
    "cancelled",
    "gone",
)


@dataclass(frozen=True, slots=True)
class Output:
    """One artifact as it was stored."""

    bucket: str
    key: str
    etag: str
    size_bytes: int
    content_type: str
    sha256: str
    width_px: int | None = None
    height_px: int | None = None
    role: str = ""
    """Which of several outputs, e.g. a size's name; "" for the only one."""


@dataclass(frozen=True, slots=True)
class Record:
    """How a job ended, and why."""

    job_id: str
    state: TerminalState
    ref: ObjectRef
    pipeline: str
    digest: str = ""
    """Digest of the pipeline's definition that made the outputs; "" if it never ran."""
    code: str = ""
    """Stable code when the state is not `done`, e.g. `image-too-large`."""
    reason: str = ""
    """One sentence for a person; "" for `done`."""
    outputs: tuple[Output, ...] = ()
    attempts: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """`waited` from being accepted to the start, `fetch`, `pipeline`, `commit`, and the
    pipeline's own parts."""
    worker: str = ""
    tenant: str = ""
    route: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the pipeline reported besides files, e.g. `blurhash`, `width_px`, `rows`."""

    def to_json(self) -> bytes:
        body = asdict(self)
        body["v"] = 1
        return json.dumps(body, ensure_ascii=False, sort_keys=True).encode(
            "utf-8", "surrogateescape"
        )

    @staticmethod
    def from_json(data: bytes) -> Record:
        """The inverse of `to_json`. Raises ValueError on anything else."""
        try:
            body = json.loads(data.decode("utf-8", "surrogateescape"))
            body.pop("v", None)
            body["ref"] = ObjectRef(**body["ref"])
            body["outputs"] = tuple(Output(**output) for output in body["outputs"])
            return Record(**body)
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"not a record: {exc!r}") from exc
