"""Waiting until every upload has its record, by the listings alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from loadtest.history import Operation
from loadtest.open_uploads import open_uploads
from loadtest.target import Target

LEAST_PAUSE_S = 0.5
PAUSE_SHARE = 9.0
"""A look costs store and machine a listing: it is given so many times as long a rest."""


def wait_until_settled(
    client: Any,
    target: Target,
    prefix: str,
    history: Sequence[Operation],
    timeout_s: float,
    tell: Callable[[int], None],
) -> float | None:
    """Seconds since the epoch at which nothing under `prefix` was open any more; None after
    `timeout_s`.

    `tell` hears after each look how many uploads are open.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        began, looked_at = time.monotonic(), time.time()
        try:
            still_open = open_uploads(
                client, history, target.source_bucket, target.results_bucket, prefix
            )
        except (ClientError, BotoCoreError):
            still_open = ["unknown"]  # a store may be on its way back
        else:
            tell(len(still_open))
        if not still_open:
            return looked_at
        if time.monotonic() > deadline:
            return None
        time.sleep(max(LEAST_PAUSE_S, PAUSE_SHARE * (time.monotonic() - began)))
