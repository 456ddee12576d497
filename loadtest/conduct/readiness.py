"""Waiting for a platform that starts at the same time as its load, as in one `helm install`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from loadtest.conduct.preflight import TIMEOUT_S, NotReady, check_target
from loadtest.scenario import Load
from loadtest.target import Target

PAUSE_S = 1.0
"""Between two looks. Arbitrary: servers take several seconds to start."""
IN_A_ROW = 5
"""Looks that must go well one after the other: while a gateway's pods are replaced, each look may
meet another one, and the old ones do not know this run's token. Arbitrary."""


def wait_until_ready(
    client: Any,
    target: Target,
    load: Load,
    timeout_s: float,
    tell: Callable[[str], None],
    pause_s: float = PAUSE_S,
) -> None:
    """Return once the run could begin and the gateway calls itself ready, and has for `IN_A_ROW`
    looks; `tell` hears each new reason why not. Raises `NotReady` with the last one after
    `timeout_s`."""
    deadline, told, well = time.monotonic() + timeout_s, "", 0
    while True:
        try:
            check_target(client, target, load)
            _check_ready(target)
            well += 1
            if well == IN_A_ROW:
                return
        except NotReady as exc:
            well = 0
            if time.monotonic() >= deadline:
                raise NotReady(f"{exc}; so it was for {timeout_s:g} s (--wait)") from exc
            if str(exc) != told:
                told = str(exc)
                tell(f"Not ready yet: {told}")
        time.sleep(pause_s)


def _check_ready(target: Target) -> None:
    """The gateway knows best whether store, broker and ledger are there."""
    if not target.gateway_url:
        return
    try:
        answer = httpx.get(f"{target.gateway_url}/readyz", timeout=TIMEOUT_S)
    except httpx.HTTPError as exc:
        raise NotReady(
            f"no gateway answers at {target.gateway_url} ({type(exc).__name__})"
        ) from exc
    if answer.status_code != 200:
        raise NotReady(
            f"the gateway at {target.gateway_url} is not ready: {answer.status_code}"
            f" {answer.text[:300]}"
        )
