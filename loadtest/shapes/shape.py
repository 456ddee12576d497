"""What every shape is: a rate at each moment, and an end."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=100_000)]
"""Uploads per second."""
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Pause = Annotated[float, Field(ge=0, le=7 * 86_400)]
"""Seconds, or none at all."""


class Shape(BaseModel):
    """Arrivals per second over time. Immutable; unknown settings are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    @abstractmethod
    def duration_s(self) -> float:
        """From the first moment to the last at which an upload may come."""

    @abstractmethod
    def rate_at(self, at_s: float) -> float:
        """Uploads per second at `at_s`, 0 <= at_s <= duration_s."""

    @property
    @abstractmethod
    def edges(self) -> tuple[float, ...]:
        """Moments at which the rate jumps or bends, so that nobody integrates across them."""

    @property
    def highest_per_s(self) -> float:
        """The highest rate. Of a smooth shape by a look at a thousand moments."""
        steps = [self.duration_s * number / 1000 for number in range(1001)]
        return max(self.rate_at(at_s) for at_s in (*steps, *self.edges))
