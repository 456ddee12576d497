"""Is a history of "commit once" linearizable? One write-once register per upload version.

A commit that succeeds writes the register, once; a refused one (412) saw it written; an
unknown one may or may not have happened; a read returns the value, or None while it is unset.
Histories of different versions are independent, so one pass over each is enough:

    There is a winner w (the one that succeeded, or one unknown, or nobody) and a moment m
    within w's interval, such that every read of None began before m, every read of a value
    and every refusal ended after m, and every value read is w's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Reply = Literal["ok", "refused", "unknown", "read"]


@dataclass(frozen=True, slots=True)
class Event:
    """One operation on the register. Times on any one clock; `ended_at` inf = no answer.

    `value`: what a commit would write, or what a read returned (None = unset).
    """

    reply: Reply
    value: str | None
    began_at: float
    ended_at: float = float("inf")


def is_linearizable(events: Sequence[Event]) -> bool:
    """Whether the operations can be put in one order that a write-once register allows.

    Two operations overlap unless one ended strictly before the other began. A read without
    an answer must be left out by the caller: it says nothing.
    """
    winners = [event for event in events if event.reply == "ok"]
    if len(winners) > 1:
        return False
    reads = [event for event in events if event.reply == "read"]
    seen_unset = [event for event in reads if event.value is None]
    read_set = [event for event in reads if event.value is not None]
    seen_set = read_set + [event for event in events if event.reply == "refused"]
    values = {event.value for event in read_set}
    if len(values) > 1:
        return False
    if not winners and not seen_set:
        return True  # whatever was asked for, nothing needs to have happened
    candidates = winners or [event for event in events if event.reply == "unknown"]
    set_by = min((event.ended_at for event in seen_set), default=float("inf"))
    unset_until = max((event.began_at for event in seen_unset), default=float("-inf"))
    return any(
        max(event.began_at, unset_until) <= min(event.ended_at, set_by) and values <= {event.value}
        for event in candidates
    )
