"""Requests that arrive together are accepted together: one round of ledger and broker for all.

A round costs a few waits, for a disk and for the broker's confirm, however many jobs are in it.
So the jobs of every request that arrived during one round make up the next:

    request ──▶ waiting ──▶ round (ledger, broker) ──▶ each request gets its own answer
                 full, or too long: 503

Nobody waits for company: an idle gateway begins a round with the first request. Trouble that
passes is everybody's answer, since all of them will be sent again; any other failure is found
out request by request, so that one that cannot be accepted does not fail its neighbours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from marea.errors import TransientError
from marea.gateway.http_errors import TooManyEvents
from marea.messages.job import Job

ROUND_JOBS = 500
"""Jobs after which a round takes no further request; as the reconciler's batches. A single
request with more is accepted in several turns of ledger and broker."""
ROUNDS_AT_ONCE = 2
"""While one waits for the broker the other can prepare its rows (measured)."""
MAX_WAITING_JOBS = 20_000
"""Beyond it a request is refused: about 5 s of rounds, half of the publish timeout. A request
that finds nobody waiting is taken whatever its size, which the limit of events bounds."""

MAX_WAIT_S = 10.0
"""Longest wait for a round to begin, as for a publish: during an outage rounds end by timeout, and
whoever has waited for one of those has nothing to hope from the next."""

Accept = Callable[[Sequence[Job]], Mapping[str, bool]]
"""Make sure of jobs; whether the broker confirmed, by job id. Runs in a thread."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request's jobs, and where its answer goes."""

    jobs: Sequence[Job]
    answer: asyncio.Future[Mapping[str, bool]]
    since: float
    """In seconds of the loop's clock."""


class Rounds:
    """Used from one event loop at a time; `accept` runs in threads of its own.

    Needs no closing: a server that stops waits for its requests, thus for their rounds, and a
    round whose requests were given up ends within the timeouts of ledger and broker.
    """

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._waiting: deque[_Waiting] = deque()
        self._waiting_jobs = 0
        self._running: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(ROUNDS_AT_ONCE, "accept")

    async def accept(self, jobs: Sequence[Job]) -> Mapping[str, bool]:
        """Whether each of `jobs` was confirmed, by id; perhaps of others as well.

        Raises `TooManyEvents` when too many wait already or it waited for too long, and what
        `accept` raises.
        """
        if not jobs:
            return {}
        if self._waiting and self._waiting_jobs + len(jobs) > MAX_WAITING_JOBS:
            raise TooManyEvents(
                f"{self._waiting_jobs:,} jobs are waiting to be accepted; send the event again"
            )
        loop = asyncio.get_running_loop()
        mine = _Waiting(jobs, loop.create_future(), loop.time())
        self._waiting.append(mine)
        self._waiting_jobs += len(jobs)
        if len(self._running) < ROUNDS_AT_ONCE:
            self._running.add(loop.create_task(self._run_rounds()))
        return await mine.answer

    async def _run_rounds(self) -> None:
        try:
            while together := self._next():
                await self._run(together)
        finally:
            # Here and not in a callback of the task, which comes a turn of the loop later: a
            # request that arrived in between would start no round and wait for ever.
            task = asyncio.current_task()
            assert task is not None
            self._running.discard(task)

    def _next(self) -> list[_Waiting]:
        """The requests of the next round, longest wait first; none if nobody waits."""
        together: list[_Waiting] = []
        jobs = 0
        while self._waiting:
            if together and jobs + len(self._waiting[0].jobs) > ROUND_JOBS:
                break
            request = self._waiting.popleft()
            self._waiting_jobs -= len(request.jobs)
            if request.answer.done():
                continue  # cancelled: nobody is there to be promised anything
            if asyncio.get_running_loop().time() - request.since > MAX_WAIT_S:
                request.answer.set_exception(
                    TooManyEvents(f"no turn came within {MAX_WAIT_S:g} s; send the event again")
                )
                continue
            together.append(request)
            jobs += len(request.jobs)
        return together

    async def _run(self, together: Sequence[_Waiting]) -> None:
        jobs = [job for request in together for job in request.jobs]
        loop = asyncio.get_running_loop()
        try:
            confirmed = await loop.run_in_executor(self._threads, self._accept, jobs)
        except Exception as exc:
            if len(together) == 1 or isinstance(exc, TransientError):
                for request in together:
                    if not request.answer.done():
                        request.answer.set_exception(exc)
            else:
                for request in together:
                    await self._run([request])
        else:
            for request in together:
                if not request.answer.done():
                    request.answer.set_result(confirmed)
