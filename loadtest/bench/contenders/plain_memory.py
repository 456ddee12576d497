"""The Celery program of a tutorial and nothing of ours in it: what a worker's memory is held to.

celery -A loadtest.bench.contenders.plain_memory worker --concurrency 2
"""

from __future__ import annotations

import os

from celery import Celery

from loadtest.bench.contenders.bodies import grayscale

app = Celery("tutorial", broker=os.environ["BENCH_BROKER_URL"])
app.task(name="grayscale")(grayscale)
