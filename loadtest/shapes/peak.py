"""A base, and for a while so many times the base."""

from __future__ import annotations

from itertools import accumulate

from pydantic import Field

from loadtest.shapes.shape import Pause, Rate, Seconds, Shape


class Peak(Shape):
    """A base, for a while so many times the base, and the base again: 1, 5 and 20 times of it
    are the peaks that are compared. Both edges are sheer."""

    base_per_s: Rate = Field(description="uploads per second before and after")
    times: float = Field(ge=1, le=10_000, description="how many times the base the peak is")
    before_s: Pause = Field(description="how long the base lasts before the peak")
    peak_s: Seconds = Field(description="how long the peak lasts")
    after_s: Pause = Field(description="how long the base lasts after the peak")

    @property
    def duration_s(self) -> float:
        return self.before_s + self.peak_s + self.after_s

    @property
    def edges(self) -> tuple[float, ...]:
        return (0.0, *accumulate((self.before_s, self.peak_s, self.after_s)))

    def rate_at(self, at_s: float) -> float:
        is_peak = self.before_s <= at_s < self.before_s + self.peak_s
        return self.base_per_s * (self.times if is_peak else 1.0)
