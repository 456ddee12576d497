"""What a run is to do, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.scenario import Scenario
from loadtest.target import Target


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and against what."""

    scenario: Scenario
    target: Target
    folder: Path
    environment: Mapping[str, str]
    """The platform's variables, for those who ask its broker."""
    about_target: Mapping[str, Any]
    """`kind` and what else is known of it."""
    command: str
    scenario_name: str
    """As Locust is to find it."""
    platform_pid: int | None = None
    """Of the `marea up` that this run started; None = it started none."""
    namespace: str = ""
    """Of the release in a Kubernetes; "" = none."""
    workers: int = 0
    """Locust processes besides a master; 0 = one process for all."""
    ui_port: int = 0
    """Of Locust's web page; 0 = without."""


@dataclass
class Draft:
    """What is known so far. Times are seconds since the epoch; 0.0 = it has not come to that."""

    prefix: str
    """Of every key of this run."""
    began_at: float = 0.0
    load_ended_at: float = 0.0
    settled_at: float | None = None
    partial: str = ""
    calibration: dict[str, float] = field(default_factory=dict)
    gateway: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def calibration_prefix(self) -> str:
        """Of what was uploaded to measure the pool."""
        return f"{self.prefix}measured/"
