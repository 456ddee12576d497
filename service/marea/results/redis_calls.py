"""How the ledger calls Redis: scripts by their digests, a text only for a server that lacks it,
and errors as the port's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.client import PubSub

from marea.errors import LedgerUnavailable
from marea.lifecycle.state import JobState
from marea.queues.redis_address import explain
from marea.results import codec
from marea.results.redis_scripts import ScriptCall


@contextmanager
def translated() -> Iterator[None]:
    """redis-py's errors, and the socket errors that slip through it, as the port's."""
    try:
        yield
    except (redis.RedisError, OSError) as exc:
        raise LedgerUnavailable(
            f"the ledger did not answer: {explain(exc)}; see MAREA_LEDGER__URL"
        ) from exc


def run(client: redis.Redis, call: ScriptCall) -> Any:
    script, keys, arguments = call
    try:
        return client.evalsha(script.sha, len(keys), *keys, *arguments)
    except redis.exceptions.NoScriptError:  # a new or restarted server; nothing has run
        return client.eval(script.text, len(keys), *keys, *arguments)


def run_many(client: redis.Redis, calls: Sequence[ScriptCall]) -> list[Any]:
    """The replies in order, in one round trip; in two on a server that lost its scripts."""
    replies = _ask_many(client, calls)
    # A call whose script is missing has done nothing; the others must not run twice.
    missing = [
        place
        for place, reply in enumerate(replies)
        if isinstance(reply, redis.exceptions.NoScriptError)
    ]
    if missing:
        for text in {calls[place].script.text for place in missing}:
            client.script_load(text)
        again = _ask_many(client, [calls[place] for place in missing])
        for place, reply in zip(missing, again, strict=True):
            replies[place] = reply
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _ask_many(client: redis.Redis, calls: Sequence[ScriptCall]) -> list[Any]:
    """The replies, errors among them, in order."""
    with client.pipeline(transaction=False) as batch:
        for script, keys, arguments in calls:
            batch.evalsha(script.sha, len(keys), *keys, *arguments)
        return batch.execute(raise_on_error=False)


def announced(channel: PubSub, poll_s: float) -> Iterator[JobState | None]:
    """The states published on `channel`; None each `poll_s` without one."""
    try:
        while True:
            with translated():
                message = channel.get_message(timeout=poll_s)
            yield codec.decode_row(message["data"]).state if message else None
    finally:
        channel.close()
