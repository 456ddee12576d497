"""The forms that a load can have: arrivals per second as a function of time, one class a file.

A shape's fields are its settings in a scenario's `load.yaml`; their meaning is told by
`python -m loadtest shapes`. To add one: a file here, and its name in `SHAPES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from loadtest.shapes.burst_then_idle import BurstThenIdle
from loadtest.shapes.double_wave import DoubleWave
from loadtest.shapes.peak import Peak
from loadtest.shapes.ramp import Ramp
from loadtest.shapes.sawtooth import Sawtooth
from loadtest.shapes.shape import Shape
from loadtest.shapes.spike import Spike
from loadtest.shapes.steady import Steady
from loadtest.shapes.step import Step

__all__ = ["SHAPES", "Shape"]

SHAPES: Mapping[str, type[Shape]] = {
    "steady": Steady,
    "step": Step,
    "ramp": Ramp,
    "spike": Spike,
    "double-wave": DoubleWave,
    "sawtooth": Sawtooth,
    "burst-then-idle": BurstThenIdle,
    "peak": Peak,
}
