"""The sections, in the order in which they run, and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from loadtest.bench.figures import Figure, Target

Run = Callable[[Any, Any, Callable[[str], None]], Iterable[Figure]]
"""(world, plan, say) -> figures."""


@dataclass(frozen=True, slots=True)
class Section:
    """One module of this folder with a function `run`."""

    name: str
    about: str
    minutes: float
    """Of a whole run on two cores."""

    def load(self) -> Run:
        run: Run = import_module(f"loadtest.bench.{self.name}").run
        return run


SECTIONS = {
    section.name: section
    for section in (
        Section("images", "images/s of two pipelines, beside a bare loop and plain Celery", 6),
        Section("small", "jobs/s of 1 KB objects, beside plain Celery", 2),
        Section("latency", "upload to result, beside a minimal program", 2),
        Section("loss", "what a killed worker costs, beside plain Celery", 3),
        Section("events", "confirmed events/s of one gateway", 1.5),
        Section("memory", "PSS of a worker; Redis bytes per queued job", 2.5),
        Section("sweeps", "time and requests of a sweep by objects in the bucket", 4),
        Section("starts", "cold start of each process", 1.5),
    )
}

TARGETS = (
    Target("images", "grayscale", 1.0, against="bare loop"),
    Target("images", "grayscale", 1.1, against="plain Celery"),
    Target("images", "web sizes", 1.0, against="bare loop"),
    Target("small", "copy 1 KB", 0.6, against="plain Celery"),
    Target("latency", "p50", 1.15, is_floor=False, against="minimal program"),
    Target("events", "one a request, redis", 600),
    Target("events", "100 a request, redis", 3000),
    Target("events", "one a request, rabbitmq", 300),
    Target("events", "100 a request, rabbitmq", 1500),
    Target("memory", "worker PSS", 1.0, is_floor=False, against="plain Celery"),
    Target("memory", "Redis per queued job", 2253, is_floor=False),
    Target("starts", "marea --help", 0.3, is_floor=False),
)
"""From what the project set itself; 2253 bytes = 2.2 KB beyond the key's own length."""
