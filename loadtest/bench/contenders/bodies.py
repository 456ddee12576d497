"""What a person writes to process one image: GET, Pillow, PUT. No retries, no limits, no order.

Shared by the bare loop and the plain Celery program, so that both do the same work.
"""

from __future__ import annotations

import os
from functools import cache
from io import BytesIO
from typing import Any

import boto3
from PIL import Image

SOURCE = os.environ.get("BENCH_SOURCE", "")
RESULTS = os.environ.get("BENCH_RESULTS", "")


@cache
def client() -> Any:
    """One per process, with boto3's own defaults."""
    return boto3.client(
        "s3",
        endpoint_url=os.environ["BENCH_ENDPOINT_URL"],
        aws_access_key_id=os.environ["BENCH_ACCESS_KEY"],
        aws_secret_access_key=os.environ["BENCH_SECRET_KEY"],
        region_name="us-east-1",
    )


def grayscale(key: str) -> None:
    """In shades of gray, in the format that it came in, under the same key. Alpha is lost."""
    body = client().get_object(Bucket=SOURCE, Key=key)["Body"].read()
    image = Image.open(BytesIO(body))
    buffer = BytesIO()
    image.convert("L").save(buffer, image.format)
    client().put_object(
        Bucket=RESULTS,
        Key=key,
        Body=buffer.getvalue(),
        ContentType=f"image/{image.format}".lower(),
    )


def web(key: str) -> None:
    """1280 and 640 pixels wide from one decode; `thumbnail` makes use of JPEG's draft mode."""
    body = client().get_object(Bucket=SOURCE, Key=key)["Body"].read()
    image = Image.open(BytesIO(body))
    for width in (1280, 640):
        image.thumbnail((width, width))
        buffer = BytesIO()
        image.convert("RGB").save(buffer, "JPEG")
        client().put_object(
            Bucket=RESULTS,
            Key=f"{key}_{width}.jpg",
            Body=buffer.getvalue(),
            ContentType="image/jpeg",
        )


def copy(key: str) -> None:
    """The bytes as they are, under the same key."""
    body = client().get_object(Bucket=SOURCE, Key=key)["Body"].read()
    client().put_object(Bucket=RESULTS, Key=key, Body=body)


BODIES = {"grayscale": grayscale, "web": web, "copy": copy}
