"""A unit of work: one pipeline over one version of one object. The message on the wire."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from marea.messages.objects import ObjectRef

MESSAGE_VERSION = 1
"""Workers accept this version and the one before it."""

Priority = Literal["high", "normal"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal")

Mode = Literal["normal", "refresh", "rerender", "replay"]
"""Why the job runs. `normal`: the version has no record yet. The others may replace it:
`refresh` (does the friendly result still show this version?), `rerender` (the pipeline's
digest changed, by command), `replay` (a dead or rejected job, by command)."""

Origin = Literal["event", "sweep", "api", "reconciler"]


def job_id(ref: ObjectRef, pipeline: str) -> str:
    """Hash of bucket, key, identity and pipeline name: 32 hex digits (design rule 1).

    The pipeline's digest is not in it: a changed setting must not make every sweep find the
    whole bucket missing.
    """
    return _job_id(ref.bucket, ref.key, ref.identity, pipeline)


@lru_cache(maxsize=2048)
def _job_id(*parts: str) -> str:
    # Asked for by every step that a job passes: kept for as many as are accepted at once.
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know. `pool` names the queues; see `marea.queues.names`."""

    ref: ObjectRef
    pipeline: str
    pool: str
    priority: Priority = "normal"
    tenant: str = ""
    route: str = ""
    """The name of the rule that chose the pipeline; "" when a client chose it."""
    not_before: float = 0.0
    """Seconds since the epoch; 0 = at once."""
    mode: Mode = "normal"
    origin: Origin = "event"

    @property
    def id(self) -> str:
        return job_id(self.ref, self.pipeline)

    def in_mode(self, mode: Mode, origin: Origin) -> Job:
        """The same job, to be run for another reason."""
        return replace(self, mode=mode, origin=origin)

    def to_json(self) -> str:
        """Compact JSON; defaults are left out (a queued job's size is a promise)."""
        body: dict[str, Any] = {
            "v": MESSAGE_VERSION,
            "b": self.ref.bucket,
            "k": self.ref.key,
            "p": self.pipeline,
            "q": self.pool,
        }
        optional = (
            ("i", self.ref.version_id),
            ("e", self.ref.etag),
            ("s", self.ref.size_bytes),
            ("t", self.tenant),
            ("r", self.route),
            ("n", self.not_before),
        )
        body.update({name: value for name, value in optional if value})
        if self.priority != "normal":
            body["y"] = self.priority
        if self.mode != "normal":
            body["m"] = self.mode
        if self.origin != "event":
            body["o"] = self.origin
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Job:
        """The inverse of `to_json`. Raises ValueError on anything else."""
        try:
            body = json.loads(text)
            if body["v"] not in (MESSAGE_VERSION, MESSAGE_VERSION - 1):
                raise ValueError(f"job message version {body['v']!r} is not understood")
            return Job(
                ref=ObjectRef(
                    body["b"],
                    body["k"],
                    body.get("i", ""),
                    body.get("e", ""),
                    int(body.get("s", 0)),
                ),
                pipeline=body["p"],
                pool=body["q"],
                priority=body.get("y", "normal"),
                tenant=body.get("t", ""),
                route=body.get("r", ""),
                not_before=float(body.get("n", 0.0)),
                mode=body.get("m", "normal"),
                origin=body.get("o", "event"),
            )
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"not a job message: {exc!r}") from exc
