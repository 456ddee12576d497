"""What routing is told and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from marea.messages.job import Job
from marea.messages.objects import ObjectRef

Fact = Literal["content_type", "user_metadata", "tags"]
"""What an event or a listing may leave unsaid, and a HEAD (or GetObjectTagging) can tell."""

PlanOutcome = Literal["routed", "unrouted", "ignored", "needs-facts"]


@dataclass(frozen=True, slots=True)
class UploadFacts:
    """Everything that rules match on. None = unknown yet (not: absent)."""

    ref: ObjectRef
    uploaded_at: float
    """Seconds since the epoch; a rule's delay counts from here."""
    content_type: str | None = None
    user_metadata: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one upload, and why."""

    outcome: PlanOutcome
    reason: str
    """One sentence."""
    jobs: tuple[Job, ...] = ()
    """Non-empty exactly when routed."""
    missing: frozenset[Fact] = field(default_factory=frozenset)
    """Non-empty exactly when outcome is needs-facts: ask for these and plan again."""
    possible: tuple[Job, ...] = ()
    """With needs-facts: the jobs that some value of the missing facts could lead to."""
