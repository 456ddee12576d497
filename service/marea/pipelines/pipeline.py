"""The types that every pipeline speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one upload and what is known of them. Nothing but `data` is trusted."""

    data: bytes
    key: str
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One output. `key` is the friendly key in the results bucket."""

    key: str
    data: bytes
    content_type: str
    width_px: int | None = None
    height_px: int | None = None
    role: str = ""


@dataclass(frozen=True, slots=True)
class Produced:
    """All outputs of one run. Same source and definition -> same bytes."""

    artifacts: tuple[Artifact, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able extras for the record: blurhash, source dimensions, rows..."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds per stage: decode, each step, encode."""


class Pipeline(Protocol):
    """A named, deterministic function from one source to its artifacts."""

    @property
    def name(self) -> str:
        """`[a-z0-9-]{1,40}`; part of job ids, record names and metrics."""
        ...

    @property
    def digest(self) -> str:
        """16 hex digits over the definition; changes whenever the outputs might."""
        ...

    @property
    def pool(self) -> str:
        """The pool that runs it where a rule names none: `images` or `tables`."""
        ...

    @property
    def max_bytes(self) -> int:
        """A larger source is rejected (`file-too-large`) before it is read."""
        ...

    def result_keys(self, key: str) -> tuple[str, ...]:
        """Every friendly key that a source `key` can lead to, known without its content.

        Raises `PermanentError` (`key-too-long`) where one would exceed the store's limit.
        """
        ...

    def run(self, source: Source) -> Produced:
        """Guards, decode, steps, encode. Raises `PermanentError` with a stable code."""
        ...
