"""The one-pass check against a search through every order (at most eight operations)."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.register import Event, Reply, is_linearizable

REPLIES: tuple[Reply, ...] = ("ok", "refused", "unknown", "read", "read")


def can_be_ordered(events: tuple[Event, ...], written: str | None = None) -> bool:
    """Wing and Gong's search: try every operation that nothing still pending must precede."""
    if all(one.reply == "unknown" for one in events):
        return True  # they may all never have happened
    for position, one in enumerate(events):
        if any(other.ended_at < one.began_at for other in events):
            continue
        rest = events[:position] + events[position + 1 :]
        if one.reply == "read":
            outcomes = [written] if one.value == written else []
        elif one.reply == "ok":
            outcomes = [one.value] if written is None else []
        elif one.reply == "refused":
            outcomes = [written] if written is not None else []
        else:
            outcomes = [one.value, None] if written is None else [written]
        if any(can_be_ordered(rest, outcome) for outcome in outcomes):
            return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> tuple[Event, ...]:
    moments = draw(st.lists(st.integers(0, 40), min_size=2, max_size=16, unique=True))
    events = []
    for began, ended in list(pairwise(moments))[::2]:
        began, ended = min(began, ended), max(began, ended)
        reply: Reply = draw(st.sampled_from(REPLIES))
        values = (None, "a", "b") if reply == "read" else ("a", "b")
        events.append(
            Event(
                reply,
                draw(st.sampled_from(values)),
                began,
                math.inf if reply == "unknown" else ended,
            )
        )
    return tuple(events)


@settings(max_examples=800, deadline=None)
@given(histories())
def test_agrees_with_the_search_through_every_order(events: tuple[Event, ...]) -> None:
    expected = can_be_ordered(events)
    note(f"linearizable: {expected}")
    assert is_linearizable(events) == expected


def test_two_successful_commits_are_refused() -> None:
    assert not is_linearizable([Event("ok", "a", 0, 1), Event("ok", "a", 5, 6)])


def test_an_unset_read_after_a_successful_commit_is_refused() -> None:
    assert not is_linearizable([Event("ok", "a", 0, 1), Event("read", None, 2, 3)])
    assert is_linearizable([Event("ok", "a", 0, 2), Event("read", None, 1, 3)])


def test_a_refusal_needs_a_commit_that_may_have_come_before() -> None:
    assert not is_linearizable([Event("refused", "a", 0, 1)])
    assert not is_linearizable([Event("refused", "a", 0, 1), Event("ok", "b", 2, 3)])
    assert is_linearizable([Event("refused", "a", 0, 3), Event("unknown", "b", 2)])


def test_reads_that_disagree_are_refused() -> None:
    commits = [Event("unknown", "a", 0), Event("unknown", "b", 0)]
    assert not is_linearizable([*commits, Event("read", "a", 1, 2), Event("read", "b", 3, 4)])
