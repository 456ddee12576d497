"""Two rounded peaks over a base."""

from __future__ import annotations

import math

from pydantic import Field

from loadtest.shapes.shape import Rate, Seconds, Shape

WIDTH = 1 / 12
"""Of a wave as a share of the whole: one standard deviation. Arbitrary: the waves touch in the
middle and have ended at the end."""


class DoubleWave(Shape):
    """Two rounded peaks over a base: morning and evening of one day, in fast motion.

    The bell curves of Locust's example of the same name, with the height of each given.
    """

    base_per_s: Rate = Field(description="uploads per second between the waves")
    first_per_s: Rate = Field(description="uploads per second at the top of the first wave")
    second_per_s: Rate = Field(description="uploads per second at the top of the second wave")
    for_s: Seconds = Field(description="how long both waves take together")

    @property
    def duration_s(self) -> float:
        return self.for_s

    @property
    def edges(self) -> tuple[float, ...]:
        return (0.0, self.for_s * 0.25, self.for_s * 0.75, self.for_s)

    def rate_at(self, at_s: float) -> float:
        rate = self.base_per_s
        for top_per_s, middle in ((self.first_per_s, 0.25), (self.second_per_s, 0.75)):
            away = (at_s / self.for_s - middle) / WIDTH
            rate += max(0.0, top_per_s - self.base_per_s) * math.exp(-away * away / 2)
        return rate
