"""A straight line from one rate to another."""

from __future__ import annotations

from pydantic import Field

from loadtest.shapes.shape import Rate, Seconds, Shape


class Ramp(Shape):
    """A straight line from one rate to another: does the scaling keep up with growth?"""

    from_per_s: Rate = Field(description="uploads per second at the beginning")
    to_per_s: Rate = Field(description="uploads per second at the end")
    for_s: Seconds = Field(description="how long it takes from the one to the other")

    @property
    def duration_s(self) -> float:
        return self.for_s

    @property
    def edges(self) -> tuple[float, ...]:
        return (0.0, self.for_s)

    def rate_at(self, at_s: float) -> float:
        return self.from_per_s + (self.to_per_s - self.from_per_s) * at_s / self.for_s
