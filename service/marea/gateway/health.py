"""Whether the process lives, and whether it can do its work.

`/healthz` asks nobody: a store that is away must not make Kubernetes restart the gateway.
`/readyz` asks the store, the broker and the ledger, each with a timeout, and names which is
away and why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from marea.clock import Clock
from marea.errors import MareaError
from marea.gateway.ports import GatewayPorts

CHECK_TIMEOUT_S = 2.0
"""Below the probe's own timeout of 3 s in the chart, so that the answer arrives."""
CACHE_S = 1.0
"""Probes and balancers together ask more often than a dependency should be asked."""


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One dependency."""

    is_ready: bool
    reason: str = ""


class Readiness:
    """Checks run in threads of their own: a hanging one costs one thread, once."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], object]],
        clock: Clock,
        *,
        timeout_s: float = CHECK_TIMEOUT_S,
    ) -> None:
        self._checks = checks
        self._clock = clock
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(max(1, len(checks)), thread_name_prefix="readiness")
        self._running: dict[str, Future[object]] = {}
        self._lock = asyncio.Lock()
        self._answer: dict[str, PartHealth] = {}
        self._answered_at = float("-inf")
        self._reasons: dict[str, str] = {}

    async def check(self) -> dict[str, PartHealth]:
        """Every part's health, at most `CACHE_S` old."""
        async with self._lock:
            if not 0.0 <= self._clock.now() - self._answered_at < CACHE_S:
                names = list(self._checks)
                parts = await asyncio.gather(*(self._check_part(name) for name in names))
                self._answer = dict(zip(names, parts, strict=True))
                self._answered_at = self._clock.now()
            return self._answer

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _check_part(self, name: str) -> PartHealth:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = self._threads.submit(self._checks[name])
        waiting = asyncio.wrap_future(running)
        try:
            # Shielded: a check that takes longer goes on, and is asked again next time.
            await asyncio.wait_for(asyncio.shield(waiting), self._timeout_s)
        except TimeoutError:
            waiting.add_done_callback(partial(self._note_late, name))
            before = self._reasons.get(name)
            last = f"; the last one was {before}" if before else ""
            return PartHealth(False, f"no answer within {self._timeout_s:g} s{last}")
        except MareaError as exc:
            reason = self._reasons[name] = _reason(exc)
            return PartHealth(False, reason)
        self._reasons.pop(name, None)
        return PartHealth(True)

    def _note_late(self, name: str, waiting: asyncio.Future[object]) -> None:
        """What an answer said that came too late: a client that tries thrice before it gives
        up is slower than a probe waits, and its reason would never be read."""
        with contextlib.suppress(asyncio.CancelledError):
            # Retrieved in any case, or asyncio complains of an exception that nobody saw.
            error = waiting.exception()
            self._reasons[name] = _reason(error) if isinstance(error, MareaError) else ""


def build_readiness(ports: GatewayPorts) -> Readiness:
    """The checks of a real gateway: one cheap request each."""

    def check_store() -> None:
        rules = ports.rules
        for bucket in (*sorted(rules.source_buckets), rules.results_bucket):
            ports.store.head(bucket, f"{rules.reserved_prefix}ready")  # absent is fine

    return Readiness(
        {"store": check_store, "broker": ports.publisher.ping, "ledger": ports.ledger.ping},
        ports.clock,
    )


def _reason(exc: MareaError) -> str:
    return f"{exc.code}: {exc}"
