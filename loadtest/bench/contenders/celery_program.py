"""The Celery program of a tutorial: a broker's address and a task with the body in it.

celery -A loadtest.bench.contenders.celery_program worker --concurrency 2 --loglevel INFO
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from celery import Celery

from loadtest.bench.contenders import bodies
from marea.pipelines.catalog import Catalog, load_catalog
from marea.pipelines.pipeline import Source

app = Celery("tutorial", broker=os.environ["BENCH_BROKER_URL"])


@app.task(name="grayscale")
def grayscale(key: str) -> None:
    bodies.grayscale(key)


@app.task(name="web")
def web(key: str) -> None:
    bodies.web(key)


@app.task(name="copy")
def copy(key: str) -> None:
    bodies.copy(key)


@app.task(name="ours")
def ours(pipeline: str, key: str) -> None:
    """Our body without our platform: what Marea's own pipeline costs between the same GET and
    PUT."""
    answer = bodies.client().get_object(Bucket=bodies.SOURCE, Key=key)
    source = Source(answer["Body"].read(), key, answer["ContentType"], answer["Metadata"])
    for artifact in _catalog()[pipeline].run(source).artifacts:
        bodies.client().put_object(
            Bucket=bodies.RESULTS,
            Key=artifact.key,
            Body=artifact.data,
            ContentType=artifact.content_type,
        )


@cache
def _catalog() -> Catalog:
    return load_catalog(Path(os.environ["BENCH_PIPELINES_FILE"]).read_text(encoding="utf-8"))
