"""Runs a procedure: performs each effect and sends the reply back, until it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from marea.lifecycle.effects import Effect, Steps

T = TypeVar("T")
Perform = Callable[[Effect[Any]], Any]
"""Performs one effect against real ports; raises what the port raises."""


def drive(steps: Steps[T], perform: Perform) -> T:
    """Run `steps` to the end and return its value.

    What `perform` raises is thrown into the procedure at its `yield`; what the procedure
    does not handle comes out of here.
    """
    try:
        effect = next(steps)
        while True:
            try:
                reply = perform(effect)
            except Exception as exc:
                effect = steps.throw(exc)
            else:
                effect = steps.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        steps.close()
