"""Quiet, a steep rise, a short top, a fall, and quiet again."""

from __future__ import annotations

from itertools import accumulate

from pydantic import Field

from loadtest.shapes.shape import Pause, Rate, Seconds, Shape


class Spike(Shape):
    """Quiet, a steep rise, a short top, a fall, quiet again: a link that is shared widely."""

    base_per_s: Rate = Field(description="uploads per second in quiet times")
    top_per_s: Rate = Field(description="uploads per second at the top")
    before_s: Pause = Field(description="quiet time before the rise")
    rise_s: Seconds = Field(description="from the base to the top, in a straight line")
    top_s: Pause = Field(description="how long the top lasts")
    fall_s: Seconds = Field(description="back to the base, in a straight line")
    after_s: Pause = Field(description="quiet time after the fall")

    @property
    def duration_s(self) -> float:
        return self.edges[-1]

    @property
    def edges(self) -> tuple[float, ...]:
        lengths = (self.before_s, self.rise_s, self.top_s, self.fall_s, self.after_s)
        return (0.0, *accumulate(lengths))

    def rate_at(self, at_s: float) -> float:
        _, rise, top, fall, rest, _ = self.edges
        up, down = (at_s - rise) / self.rise_s, (rest - at_s) / self.fall_s
        share = min(max(0.0, min(up, down)), 1.0) if not top <= at_s <= fall else 1.0
        return self.base_per_s + (self.top_per_s - self.base_per_s) * share
