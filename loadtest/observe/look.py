"""One look, as the sources fill it, and what they all are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from loadtest.runs.data import Sample


class Unseen(Exception):
    """A source has no answer this time; the text says why."""


@dataclass
class Look:
    """A `Sample` in the making; the fields are its."""

    at_s: float
    ready: dict[str, int] = field(default_factory=dict)
    unacked: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    replicas: dict[str, int] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def as_sample(self) -> Sample:
        return Sample(**vars(self))


class Source(Protocol):
    """Something that can be asked again and again."""

    name: str

    def fill(self, look: Look) -> None:
        """Add what is known now. Raises `Unseen`."""
