"""Slow rises, each broken off at its top."""

from __future__ import annotations

from pydantic import Field

from loadtest.shapes.shape import Rate, Seconds, Shape


class Sawtooth(Shape):
    """Slow rises, each broken off at its top: scaled out, and then too much of it, many times."""

    low_per_s: Rate = Field(description="uploads per second at the foot of a tooth")
    high_per_s: Rate = Field(description="uploads per second at its tip")
    tooth_s: Seconds = Field(description="how long the rise of a tooth takes")
    teeth: int = Field(ge=1, le=1000, description="how many teeth")

    @property
    def duration_s(self) -> float:
        return self.tooth_s * self.teeth

    @property
    def edges(self) -> tuple[float, ...]:
        return tuple(self.tooth_s * number for number in range(self.teeth + 1))

    def rate_at(self, at_s: float) -> float:
        into = (at_s % self.tooth_s) / self.tooth_s if at_s < self.duration_s else 1.0
        return self.low_per_s + (self.high_per_s - self.low_per_s) * into

    @property
    def highest_per_s(self) -> float:
        return max(self.low_per_s, self.high_per_s)
