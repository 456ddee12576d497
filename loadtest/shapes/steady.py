"""The same rate all the time."""

from __future__ import annotations

from pydantic import Field

from loadtest.shapes.shape import Rate, Seconds, Shape


class Steady(Shape):
    """The same rate all the time: what a pool does when nothing happens."""

    per_s: Rate = Field(description="uploads per second")
    for_s: Seconds = Field(description="how long")

    @property
    def duration_s(self) -> float:
        return self.for_s

    @property
    def edges(self) -> tuple[float, ...]:
        return (0.0, self.for_s)

    def rate_at(self, at_s: float) -> float:  # noqa: ARG002 - the same at any time
        return self.per_s
