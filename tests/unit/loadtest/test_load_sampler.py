"""The platform is looked at again and again, and what is not seen is told."""

from __future__ import annotations

import threading

import pytest
from load_servers import closed_port

from loadtest.observe.broker import BrokerSource
from loadtest.observe.look import Look, Source, Unseen
from loadtest.observe.sampler import Sampler

PATIENCE_S = 30.0


class Counting:
    """A source that knows the backlog, and that it was asked."""

    name = "counting"

    def __init__(self) -> None:
        self.was_asked = threading.Event()

    def fill(self, look: Look) -> None:
        look.ready["images"] = 7
        self.was_asked.set()


class Blind:
    """A source that sees half, and never the rest."""

    name = "blind"

    def fill(self, look: Look) -> None:
        look.cpu["generator"] = 0.5
        raise Unseen("it is dark")


class Faulty:
    """A source with a fault of its own."""

    name = "faulty"

    def fill(self, _: Look) -> None:
        raise KeyError("pool")


def looked(*others: Source) -> Sampler:
    counting = Counting()
    with Sampler([*others, counting]) as sampler:
        assert counting.was_asked.wait(PATIENCE_S)
    return sampler


def test_a_look_holds_what_every_source_knows() -> None:
    sampler = looked(Blind())
    first = sampler.samples(0.0)[0]
    assert first.ready == {"images": 7}
    assert first.cpu == {"generator": 0.5}
    assert first.replicas == {}
    assert sampler.latest is not None


def test_what_could_not_be_seen_is_told_in_a_sentence_and_how_often() -> None:
    sampler = looked(Blind())
    looks = len(sampler.samples(0.0))
    assert sampler.notes() == [f"blind: it is dark ({looks} of {looks} looks)."]
    assert looked().notes() == []


def test_a_source_with_a_fault_takes_nothing_away_from_the_others_and_is_told() -> None:
    sampler = looked(Faulty())
    assert sampler.samples(0.0)[0].ready == {"images": 7}
    (note,) = sampler.notes()
    assert note.startswith("faulty: failed by KeyError('pool') (")


def test_times_count_from_the_beginning_of_the_load() -> None:
    sampler = looked()
    at_s = sampler.samples(0.0)[0].at_s
    assert sampler.samples(at_s + 5)[0].at_s == pytest.approx(-5.0)


def test_before_the_first_look_there_is_none() -> None:
    sampler = Sampler([])
    assert sampler.latest is None
    assert sampler.samples(0.0) == ()


def test_a_broker_that_is_away_is_unseen() -> None:
    with closed_port() as url:
        address = url.replace("http:", "redis:")
        source = BrokerSource({"MAREA_BROKER__URL": f"{address}/0", "PATH": "/bin"})
        look = Look(0.0)
        with pytest.raises(Unseen, match="the broker did not answer"):
            source.fill(look)
    assert (look.ready, look.unacked) == ({}, {})
