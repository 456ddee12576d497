"""Requests that arrive together share a round; no request shares another one's fate for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from marea.errors import BrokerUnavailable
from marea.gateway import rounds
from marea.gateway.http_errors import TooManyEvents
from marea.gateway.rounds import ROUND_JOBS, Rounds
from marea.messages.job import Job
from marea.messages.objects import ObjectRef

WAIT_S = 10.0


def job(name: str) -> Job:
    return Job(ObjectRef("uploads", name, "v1", "e", 1), "grayscale", "images")


class Ledger:
    """What a round calls. Each call waits until it is let through, and tells what it was given."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.error_for: dict[str, Exception] = {}
        self.unconfirmed: set[str] = set()
        self._may_pass = threading.Event()
        self._called = threading.Semaphore(0)
        if is_open:
            self.let_through()

    def accept(self, jobs: Sequence[Job]) -> Mapping[str, bool]:
        keys = [each.ref.key for each in jobs]
        self.calls.append(keys)
        self._called.release()
        assert self._may_pass.wait(WAIT_S)
        for key in keys:
            if key in self.error_for:
                raise self.error_for[key]
        return {each.id: each.ref.key not in self.unconfirmed for each in jobs}

    def let_through(self) -> None:
        self._may_pass.set()

    async def called(self, times: int = 1) -> None:
        """Until so many further calls have begun."""
        for _ in range(times):
            assert await asyncio.to_thread(self._called.acquire, timeout=WAIT_S)


@pytest.fixture(autouse=True)
def one_round_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ROUNDS_AT_ONCE", 1)


def run(story: Callable[[Ledger, Rounds], Awaitable[Any]], *, is_open: bool = False) -> Ledger:
    ledger = Ledger(is_open=is_open)

    async def told() -> None:
        await story(ledger, Rounds(ledger.accept))

    asyncio.run(told())
    return ledger


def begin(rounds: Rounds, *names: str) -> asyncio.Task[Mapping[str, bool]]:
    """A request with the jobs of `names` arrives."""
    return asyncio.create_task(rounds.accept([job(name) for name in names]))


async def while_a_round_is_under_way(ledger: Ledger, rounds: Rounds) -> asyncio.Task[Any]:
    first = begin(rounds, "first")
    await ledger.called()
    return first


async def all_arrived() -> None:
    """Every task that was created has run up to its wait."""
    await asyncio.sleep(0)


def test_a_request_that_comes_alone_is_accepted_at_once() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        assert await rounds.accept([job("a")]) == {job("a").id: True}

    assert run(story, is_open=True).calls == [["a"]]


def test_a_request_without_jobs_asks_nobody() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        assert await rounds.accept([]) == {}

    assert run(story).calls == []


def test_a_request_that_follows_at_once_is_not_forgotten() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        async with asyncio.timeout(WAIT_S):
            for name in "abc":
                assert await rounds.accept([job(name)])

    assert run(story, is_open=True).calls == [["a"], ["b"], ["c"]]


def test_what_arrives_during_a_round_makes_up_the_next_one() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        first = await while_a_round_is_under_way(ledger, rounds)
        others = [begin(rounds, "a", "b"), begin(rounds, "c"), begin(rounds, "d")]
        await all_arrived()
        ledger.let_through()
        for answer in await asyncio.gather(first, *others):
            assert all(answer.values())

    assert run(story).calls == [["first"], ["a", "b", "c", "d"]]


def test_each_request_hears_which_of_its_jobs_the_broker_did_not_confirm() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        ledger.unconfirmed = {"b"}
        first = await while_a_round_is_under_way(ledger, rounds)
        fine, unsure = begin(rounds, "a"), begin(rounds, "b")
        await all_arrived()
        ledger.let_through()
        await first
        assert (await fine)[job("a").id]
        assert not (await unsure)[job("b").id]

    run(story)


def test_trouble_that_passes_is_the_answer_to_all_and_the_round_is_not_tried_again() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        ledger.error_for = {"b": BrokerUnavailable("the broker is away")}
        first = await while_a_round_is_under_way(ledger, rounds)
        both = [begin(rounds, "a"), begin(rounds, "b")]
        await all_arrived()
        ledger.let_through()
        await first
        for answer in await asyncio.gather(*both, return_exceptions=True):
            assert isinstance(answer, BrokerUnavailable)
        ledger.error_for = {}
        assert await rounds.accept([job("c")]), "and the next round begins"

    assert run(story).calls == [["first"], ["a", "b"], ["c"]]


def test_a_request_that_cannot_be_accepted_fails_alone() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        ledger.error_for = {"b": ValueError("a mistake of ours")}
        first = await while_a_round_is_under_way(ledger, rounds)
        together = [begin(rounds, name) for name in "abc"]
        await all_arrived()
        ledger.let_through()
        await first
        a, b, c = await asyncio.gather(*together, return_exceptions=True)
        assert isinstance(b, ValueError)
        assert a == {job("a").id: True}
        assert c == {job("c").id: True}

    assert run(story).calls == [["first"], ["a", "b", "c"], ["a"], ["b"], ["c"]]


def test_a_round_takes_whole_requests_up_to_its_limit() -> None:
    many = [f"{number}" for number in range(ROUND_JOBS - 1)]

    async def story(ledger: Ledger, rounds: Rounds) -> None:
        first = await while_a_round_is_under_way(ledger, rounds)
        others = [begin(rounds, *many), begin(rounds, "a", "b"), begin(rounds, "c")]
        await all_arrived()
        ledger.let_through()
        await asyncio.gather(first, *others)

    assert run(story).calls == [["first"], many, ["a", "b", "c"]]


def test_a_request_is_refused_while_too_many_jobs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MAX_WAITING_JOBS", 3)

    async def story(ledger: Ledger, rounds: Rounds) -> None:
        first = await while_a_round_is_under_way(ledger, rounds)
        waiting = begin(rounds, "a", "b")
        await all_arrived()
        with pytest.raises(TooManyEvents, match="2 jobs are waiting"):
            await rounds.accept([job("c"), job("d")])
        fits = begin(rounds, "e")
        await all_arrived()
        ledger.let_through()
        await asyncio.gather(first, waiting, fits)
        assert await rounds.accept([job(name) for name in "pqrs"]), "alone it is never too large"

    assert run(story).calls == [["first"], ["a", "b", "e"], ["p", "q", "r", "s"]]


def test_a_request_is_refused_when_its_turn_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(ledger: Ledger, rounds_: Rounds) -> None:
        first = await while_a_round_is_under_way(ledger, rounds_)
        late = begin(rounds_, "late")
        await all_arrived()
        monkeypatch.setattr(rounds, "MAX_WAIT_S", 0.0)
        ledger.let_through()
        assert await first
        with pytest.raises(TooManyEvents, match="send the event again"):
            await late
        monkeypatch.undo()
        assert await rounds_.accept([job("next")])

    assert run(story).calls == [["first"], ["next"]]


def test_a_request_that_was_given_up_is_left_out_and_harms_nobody() -> None:
    async def story(ledger: Ledger, rounds: Rounds) -> None:
        first = await while_a_round_is_under_way(ledger, rounds)
        gone, stays = begin(rounds, "gone"), begin(rounds, "stays")
        await all_arrived()
        gone.cancel()
        first.cancel()
        await all_arrived()
        ledger.let_through()
        assert await stays == {job("stays").id: True}
        assert gone.cancelled()
        assert first.cancelled()

    assert run(story).calls == [["first"], ["stays"]]


def test_two_rounds_are_under_way_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ROUNDS_AT_ONCE", 2)

    async def story(ledger: Ledger, rounds: Rounds) -> None:
        first = await while_a_round_is_under_way(ledger, rounds)
        second = begin(rounds, "second")
        await ledger.called()
        third = begin(rounds, "third")
        await all_arrived()
        assert len(ledger.calls) == 2
        ledger.let_through()
        await asyncio.gather(first, second, third)

    run(story)
