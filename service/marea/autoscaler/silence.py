"""When a replica of an app pool is taken to hang, and replaced: a rule, without I/O.

A worker that computes still beats and answers, since its main process does not run tasks. One that
does neither, for longer than its owner allows, while we hear everything else, does no more work
than one that is not there, and its slots count as busy for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REPLACE_EVERY_S = 60.0
"""Between two replacements in a pool. Arbitrary: what ails all of its workers at once is not mended
by ending them, and whoever looks has the time to see it."""


BOOT_PATIENCE = 5.0
"""So many times as long is one that has never been heard waited for: it may be loading a model, and
would never be up if it were ended for that. Arbitrary."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What is known of one ready replica's life."""

    replica: str
    ready_at: float
    """When it was first seen to be ready."""
    heard_at: float | None
    """Its last event; None = none ever."""
    answers: bool
    """It has just answered."""


def replica_to_replace(
    signs: Sequence[Sign],
    *,
    silent_s: float,
    hearing_since: float,
    have_spoken: bool,
    replaced_at: float | None,
    now: float,
) -> str:
    """The replica that has been silent for longest, and too long; "" where there is none.

    `hearing_since`: since when the broker has answered and let events through without a break. Only
    then does silence begin to mean something: after an outage workers need a while to come back.
    `have_spoken`: workers of this application have been heard at all. Where none ever was, it may
    be one that sends nothing, and ending its workers would end their tasks.
    """
    if not silent_s or not have_spoken:
        return ""
    if replaced_at is not None and now - replaced_at < REPLACE_EVERY_S:
        return ""
    silent = [
        (silence_s, sign.replica)
        for sign in signs
        if not sign.answers
        and (silence_s := now - max(sign.ready_at, sign.heard_at or 0.0, hearing_since))
        > silent_s * (1.0 if sign.heard_at else BOOT_PATIENCE)
    ]
    return max(silent)[1] if silent else ""
