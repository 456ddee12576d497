"""The smallest program that turns a bucket's events into tasks: a webhook that calls `.delay`.

python -m loadtest.bench.contenders.minimal PORT
"""

from __future__ import annotations

import sys
from urllib.parse import unquote_plus

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loadtest.bench.contenders.celery_program import grayscale


async def hear(request: Request) -> Response:
    """One POST of MinIO, which is one event or more; its first look at us is a HEAD or GET."""
    body = await request.body()
    if body:
        for record in (await request.json()).get("Records", []):
            grayscale.delay(unquote_plus(record["s3"]["object"]["key"]))
    return Response()


app = Starlette(routes=[Route("/", hear, methods=["GET", "HEAD", "POST"])])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
