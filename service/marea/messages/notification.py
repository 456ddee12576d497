"""What subscribers are told when a job ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    """A completion notice, as it waits in the outbox. `id` is unique per job and ending."""

    id: str
    job_id: str
    url: str
    body: Mapping[str, Any]
    tries: int = 0
    due_at: float = 0.0
