"""The Celery application of every tutorial: it knows of no broker and of no Marea.

Where its broker and its results are is said by CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which
Celery reads itself.
"""

from __future__ import annotations

import time

from celery import Celery

app = Celery("tutorial")


@app.task
def add(x: float, y: float) -> float:
    return x + y


@app.task
def slow(seconds: float) -> float:
    """Take so long, and say so."""
    time.sleep(seconds)
    return seconds


@app.task
def total(numbers: list[float]) -> float:
    """The end of a chord: `chord(add.s(n, n) for n in range(10))(total.s())`."""
    return sum(numbers)
