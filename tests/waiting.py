"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

ValueT = TypeVar("ValueT")


def wait_until(
    condition: Callable[[], ValueT], what: str, *, timeout_s: float = 10.0, poll_s: float = 0.02
) -> ValueT:
    """The first truthy value of `condition`; fails the test, naming `what`, after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {timeout_s:g} s still not: {what}"
        time.sleep(poll_s)
    return value
