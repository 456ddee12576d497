"""Many uploads at once, then nothing; again and again."""

from __future__ import annotations

from pydantic import Field

from loadtest.shapes.shape import Pause, Seconds, Shape


class BurstThenIdle(Shape):
    """Many uploads at once, then nothing, again and again: a nightly export, from zero."""

    uploads: int = Field(ge=1, le=1_000_000, description="uploads of a burst")
    within_s: Seconds = Field(description="how long a burst lasts")
    idle_s: Pause = Field(description="silence after each burst")
    bursts: int = Field(ge=1, le=1000, description="how many bursts")

    @property
    def duration_s(self) -> float:
        return (self.within_s + self.idle_s) * self.bursts

    @property
    def edges(self) -> tuple[float, ...]:
        each = self.within_s + self.idle_s
        starts = [each * number for number in range(self.bursts)]
        return (*(at for start in starts for at in (start, start + self.within_s)), self.duration_s)

    def rate_at(self, at_s: float) -> float:
        into_s = at_s % (self.within_s + self.idle_s)
        return self.uploads / self.within_s if into_s < self.within_s else 0.0

    @property
    def highest_per_s(self) -> float:
        return self.uploads / self.within_s
