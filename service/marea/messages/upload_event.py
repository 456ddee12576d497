"""What a bucket notification says, whichever store sent it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from marea.messages.objects import ObjectRef

EventKind = Literal["created", "deleted", "other"]


@dataclass(frozen=True, slots=True)
class UploadEvent:
    """One record of a notification body. A hint: nothing in it is trusted for the result."""

    ref: ObjectRef
    kind: EventKind
    event_name: str
    event_time: float | None = None
    """Seconds since the epoch, by the store's clock; None if the body has none."""
    sequencer: str = ""
    source: str = ""
    """Which dialect it came in: minio, aws, eventbridge, ceph."""
    content_type: str | None = None
    """None = the event did not say (only MinIO's does)."""
    user_metadata: Mapping[str, str] | None = None
    """User metadata with lower-case names, without the x-amz-meta- prefix; None = not said."""
    tags: Mapping[str, str] | None = field(default=None)
