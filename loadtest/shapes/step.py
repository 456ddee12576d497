"""A staircase upwards."""

from __future__ import annotations

from pydantic import Field

from loadtest.shapes.shape import Rate, Seconds, Shape


class Step(Shape):
    """A staircase upwards: at which rate does the backlog begin to grow?"""

    first_per_s: Rate = Field(description="uploads per second on the lowest step")
    step_per_s: Rate = Field(description="by how much each step is higher than the one before")
    step_s: Seconds = Field(description="how long a step lasts")
    steps: int = Field(ge=1, le=1000, description="how many steps")

    @property
    def duration_s(self) -> float:
        return self.step_s * self.steps

    @property
    def edges(self) -> tuple[float, ...]:
        return tuple(self.step_s * number for number in range(self.steps + 1))

    def rate_at(self, at_s: float) -> float:
        number = min(int(at_s / self.step_s), self.steps - 1)
        return self.first_per_s + self.step_per_s * number
