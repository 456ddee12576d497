"""The ledger on a Redis or Valkey. The only importer of redis-py beside the queues.

All decisions are taken in Python; one script (redis_scripts.py) swaps a row and moves its
index entries in one step, so an index cannot disagree with the rows. Keys, under `prefix`:

    job:<id>                       string, see codec.py; an ended one has a time to live
    jobs                           zset of all ids by created_at
    queued: running: waiting: …    one zset per phase (and lane or tenant), see index.py
    owners tenants started         hashes: running id → worker; jobs in the broker; rule 6
    mix: runs: arrived served:…    hashes of counters, see demand.py
    lanes waiting-tenants          sets: which queued/running and waiting zsets there are
    workers drains                 hashes of beats and drain leases; a worker silent for the
                                   retention is dropped
    outbox outbox:entries          zset by due_at, hash of bodies
    value:<name> notes:<kind>      string, capped list

What bounds it: open jobs never expire; a row of an ended job expires by itself after the
retention, and its entries in `ended:<phase>` and `jobs` are trimmed by later saves (16 per
save), counts and pages. Retention is judged by this process' clock, the server's own expiry
only collects what nobody reads. The server must not evict: `noeviction`, or a `volatile-*`
policy, which can only take ended jobs; `redis_address.py` refuses one that does.

Memory: see tests/contract/test_ledger_redis.py, which measures and bounds it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from marea.clock import Clock
from marea.errors import LedgerUnavailable
from marea.lifecycle.state import OPEN_PHASES, JobState, Phase, WorkerBeat
from marea.messages.job import Priority
from marea.messages.notification import Notification
from marea.messages.record import TERMINAL_STATES
from marea.queues.redis_address import ledger_address, open_client
from marea.results import codec
from marea.results.demand import Demand, demand_of
from marea.results.index import (
    Position,
    cursor_at,
    escaped,
    lane_name,
    parse_cursor,
    parse_lane,
    unescaped,
)
from marea.results.ledger import JobPage, OpenCount
from marea.results.redis_calls import announced, run, run_many, translated
from marea.results.redis_scripts import (
    ScriptCall,
    counts_call,
    demand_call,
    milliseconds,
    outbox_due_call,
    page_call,
    save_call,
)
from marea.settings import LedgerSettings

HEALTH_CHECK_INTERVAL_S = 30
"""A connection idle for longer is pinged before use. Below the idle cuts of common load
balancers (60 s and up)."""


class RedisLedger:
    """The `Ledger` port. Connects at first use, so it may be built before a fork, and builds
    itself a new client in every process. Safe to share between threads."""

    def __init__(self, settings: LedgerSettings, clock: Clock) -> None:
        """Does not connect. Raises `ConfigError` for a URL that is none."""
        self._settings = settings
        self._clock = clock
        self._prefix = settings.prefix
        self._address = ledger_address(settings)
        self._connected: tuple[int, redis.Redis] = (os.getpid(), self._new_client())

    # job states

    def load(self, job_id: str) -> JobState | None:
        return self.load_many([job_id]).get(job_id)

    def load_many(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        if not job_ids:
            return {}
        names = self._row_names(job_ids)
        return self._decoded(job_ids, self._read(lambda client: client.mget(names)))

    def load_with_tenants(
        self, job_ids: Sequence[str], tenants: Sequence[str]
    ) -> tuple[dict[str, JobState], dict[str, int]]:
        names, fields = self._row_names(job_ids), [escaped(tenant) for tenant in tenants]

        def read(client: redis.Redis) -> Any:
            with client.pipeline(transaction=False) as together:
                together.mget(names)
                together.hmget(self._name("tenants"), fields)
                return together.execute()

        texts, counts = self._read(read)
        return self._decoded(job_ids, texts), _loads(tenants, counts)

    def _decoded(self, job_ids: Sequence[str], texts: Sequence[str | None]) -> dict[str, JobState]:
        now = self._clock.now()
        states = {}
        for job_id, text in zip(job_ids, texts, strict=True):
            if text is None:
                continue
            row = codec.decode_row(text)
            if row.expires_at is None or now < row.expires_at:
                states[job_id] = row.state
        return states

    def save(self, state: JobState, notifications: Sequence[Notification] = ()) -> JobState | None:
        # Not tried again: a save that was done, but not answered, would then seem lost to
        # another process. The caller loads, and sees its own state there.
        stored = state.but(rev=state.rev + 1)
        call = self._save_call(stored, notifications)
        return stored if self._write(lambda client: run(client, call)) else None

    def save_many(self, states: Sequence[JobState]) -> list[JobState | None]:
        stored = [state.but(rev=state.rev + 1) for state in states]
        calls = [self._save_call(state) for state in stored]
        replies = self._write(lambda client: run_many(client, calls))
        return [state if won else None for state, won in zip(stored, replies, strict=True)]

    # indexes

    def due(self, now: float, limit: int) -> list[str]:
        return self._oldest("delayed", repr(now), limit)

    def verdicts(self, limit: int) -> list[str]:
        return self._oldest("verdict", "+inf", limit)

    def queued(
        self, pool: str, priority: Priority, *, published_before: float, limit: int
    ) -> list[str]:
        return self._oldest(f"queued:{lane_name(pool, priority)}", f"({published_before!r}", limit)

    def accepted(self, *, updated_before: float, limit: int) -> list[str]:
        return self._oldest("accepted", f"({updated_before!r}", limit)

    def waiting(self, tenant: str, limit: int) -> list[str]:
        return self._oldest(f"waiting:{escaped(tenant)}", "+inf", limit)

    def running(self) -> Mapping[str, str]:
        return dict(self._read(lambda client: client.hgetall(self._name("owners"))))

    def open_counts(self) -> Mapping[tuple[str, Priority], OpenCount]:
        counts = self._counts()
        lanes = {
            name.partition(":")[2]
            for name, count in counts.items()
            if name.startswith(("queued:", "running:")) and count
        }
        return {
            parse_lane(name): OpenCount(counts[f"queued:{name}"], counts[f"running:{name}"])
            for name in lanes
        }

    def demand(self) -> Demand:
        call = demand_call(self._prefix)
        return demand_of(*self._read(lambda client: run(client, call)))

    def last_started_publish(self, pool: str, priority: Priority) -> float:
        lane = lane_name(pool, priority)
        text = self._read(lambda client: client.hget(self._name("started"), lane))
        return float(text) if text else 0.0

    def phase_counts(self) -> Mapping[Phase, int]:
        totals: dict[Phase, int] = dict.fromkeys((*OPEN_PHASES, *TERMINAL_STATES), 0)
        for name, count in self._counts().items():
            kind, _, rest = name.partition(":")
            totals[cast("Phase", rest if kind == "ended" else kind)] += count
        return totals

    def tenant_counts(self) -> Mapping[str, int]:
        counts = self._read(lambda client: client.hgetall(self._name("tenants")))
        return {unescaped(tenant): int(count) for tenant, count in counts.items()}

    def tenants_in_broker(self, tenants: Sequence[str]) -> dict[str, int]:
        if not tenants:
            return {}
        fields = [escaped(tenant) for tenant in tenants]
        counts = self._read(lambda client: client.hmget(self._name("tenants"), fields))
        return _loads(tenants, counts)

    def waiting_tenants(self) -> list[str]:
        names = self._read(lambda client: client.smembers(self._name("waiting-tenants")))
        return sorted(unescaped(name) for name in names)

    def page(
        self, *, phase: Phase | None = None, cursor: str | None = None, limit: int = 100
    ) -> JobPage:
        kind: str = phase or "jobs"
        if phase in TERMINAL_STATES:
            kind = f"ended:{phase}"
        after = parse_cursor(cursor) if cursor else None
        shown: list[JobState] = []
        while True:
            wanted = limit - len(shown)
            # One more than wanted, to know whether there is a next page.
            found = self._positions(kind, after, wanted + 1)
            after = found[:wanted][-1] if found[:wanted] else after
            states = self.load_many([position.job_id for position in found[:wanted]])
            # A job may have moved on, or expired, since the index was read.
            shown += [s for s in states.values() if phase is None or s.phase == phase]
            if len(found) <= wanted:
                return JobPage(tuple(shown), None)
            if len(shown) >= limit and after is not None:
                return JobPage(tuple(shown), cursor_at(after))

    # workers

    def beat(self, beat: WorkerBeat) -> float:
        _, until = self._write_together(
            ("HSET", "workers", beat.worker, codec.encode_beat(beat)),
            ("HGET", "drains", beat.worker),
        )
        return float(until or 0.0)

    def lease_drains(self, until: Mapping[str, float]) -> None:
        if until:
            pairs = [text for worker, at in until.items() for text in (worker, repr(at))]
            self._write_together(("HSET", "drains", *pairs))

    def worker(self, worker: str, now: float) -> WorkerBeat | None:
        text = self._read(lambda client: client.hget(self._name("workers"), worker))
        beat = codec.decode_beat(text) if text else None
        return beat if beat is not None and now < beat.expires_at else None

    def workers(self, now: float) -> list[WorkerBeat]:
        texts = self._read(lambda client: client.hgetall(self._name("workers")))
        beats = [codec.decode_beat(text) for _, text in sorted(texts.items())]
        for beat in beats:
            if beat.expires_at + self._settings.retention_s <= now:
                self.forget_worker(beat.worker)
        return [beat for beat in beats if now < beat.expires_at]

    def forget_worker(self, worker: str) -> None:
        self._write_together(("HDEL", "workers", worker), ("HDEL", "drains", worker))

    # outbox

    def outbox_due(self, now: float, limit: int) -> list[Notification]:
        call = outbox_due_call(self._prefix, now=now, limit=limit)
        texts = self._read(lambda client: run(client, call))
        return [codec.decode_notification(text) for text in texts]

    def outbox_save(self, notification: Notification) -> None:
        self._write_together(
            ("HSET", "outbox:entries", notification.id, codec.encode_notification(notification)),
            ("ZADD", "outbox", repr(notification.due_at), notification.id),
        )

    def outbox_remove(self, notification_id: str) -> None:
        self._write_together(
            ("ZREM", "outbox", notification_id),
            ("HDEL", "outbox:entries", notification_id),
        )

    # values and notes

    def value(self, name: str) -> Any | None:
        text = self._read(lambda client: client.get(self._name(f"value:{name}")))
        if text is None:
            return None
        expires_at, value = json.loads(text)
        return value if expires_at is None or self._clock.now() < expires_at else None

    def set_value(self, name: str, value: Any, *, expires_s: float | None = None) -> None:
        expires_at = None if expires_s is None else self._clock.now() + expires_s
        lifetime_ms = None if expires_s is None else milliseconds(expires_s)
        text = codec.dump_json([expires_at, value])
        self._write(lambda client: client.set(self._name(f"value:{name}"), text, px=lifetime_ms))

    def note(self, kind: str, entry: Mapping[str, Any], *, keep: int = 1000) -> None:
        self._write_together(
            ("LPUSH", f"notes:{kind}", codec.dump_json(dict(entry))),
            ("LTRIM", f"notes:{kind}", 0, keep - 1),
        )

    def notes(self, kind: str, limit: int = 100) -> list[Mapping[str, Any]]:
        texts = self._read(lambda client: client.lrange(self._name(f"notes:{kind}"), 0, limit - 1))
        return [json.loads(text) for text in texts]

    # watching

    def watch(self, *, poll_s: float = 1.0) -> Iterator[JobState | None]:
        """Subscribed when this returns. A lost connection raises `LedgerUnavailable` rather
        than resubscribing in silence: states may have been missed, so watch again and load."""
        with translated():
            channel = self._client().pubsub()  # type: ignore[no-untyped-call]
            channel.subscribe(self._name("saved"))
            confirmation = channel.get_message(timeout=self._settings.timeout_s)
        if confirmation is None:
            raise LedgerUnavailable("the ledger did not confirm the subscription")
        return announced(channel, poll_s)

    def ping(self) -> None:
        self._read(lambda client: client.ping())

    def _name(self, name: str) -> str:
        return self._prefix + name

    def _row_names(self, job_ids: Sequence[str]) -> list[str]:
        return [self._name(f"job:{job_id}") for job_id in job_ids]

    def _save_call(
        self, stored: JobState, notifications: Sequence[Notification] = ()
    ) -> ScriptCall:
        return save_call(
            self._prefix,
            stored,
            notifications,
            now=self._clock.now(),
            retention_s=self._settings.retention_s,
        )

    def _oldest(self, index: str, highest: str, limit: int) -> list[str]:
        """Up to `limit` ids of `index`, from the lowest score up to the bound `highest`."""
        return list(
            self._read(
                lambda client: client.zrangebyscore(
                    self._name(index), "-inf", highest, start=0, num=limit
                )
            )
        )

    def _counts(self) -> dict[str, int]:
        call = counts_call(self._prefix, now=self._clock.now())
        reply = self._read(lambda client: run(client, call))
        return dict(zip(reply[::2], reply[1::2], strict=True))

    def _positions(self, kind: str, after: Position | None, limit: int) -> list[Position]:
        call = page_call(self._prefix, kind, after, limit, now=self._clock.now())
        reply = self._read(lambda client: run(client, call))
        found = [Position(float(s), i) for i, s in zip(reply[::2], reply[1::2], strict=True)]
        return sorted(found, reverse=True)[:limit]

    def _read(self, question: Callable[[redis.Redis], Any]) -> Any:
        """Ask; once more if the connection was lost, but not after a timeout, so that nobody
        waits longer than the timeout that was set."""
        with translated():
            try:
                return question(self._client())
            except redis.ConnectionError:
                return question(self._client())

    def _write(self, command: Callable[[redis.Redis], Any]) -> Any:
        with translated():
            return command(self._client())

    def _write_together(self, *commands: tuple[str | int, ...]) -> list[Any]:
        """All or none of `commands`, each (command, key without prefix, arguments…); replies."""

        def write(client: redis.Redis) -> list[Any]:
            with client.pipeline(transaction=True) as together:
                for command, key, *arguments in commands:
                    together.execute_command(  # type: ignore[no-untyped-call]
                        command, self._name(str(key)), *arguments
                    )
                return list(together.execute())

        return list(self._write(write))

    def _client(self) -> redis.Redis:
        # No lock, which a fork could copy while it is held: two threads may both build a
        # client, and the one that is dropped never connected.
        owner, client = self._connected
        if owner != os.getpid():
            client = self._new_client()
            self._connected = (os.getpid(), client)
        return client

    def _new_client(self) -> redis.Redis:
        return open_client(
            self._address,
            # Version 3 adds nothing here, and proxies and old ACLs may refuse its HELLO.
            protocol=2,
            decode_responses=True,
            encoding_errors="surrogateescape",  # as job ids: a key may be any bytes
            socket_timeout=self._settings.timeout_s,
            socket_connect_timeout=self._settings.timeout_s,
            health_check_interval=HEALTH_CHECK_INTERVAL_S,
            # redis-py's default is ten tries, of writes too; see `save`.
            retry=Retry(NoBackoff(), 0),
        )


def _loads(tenants: Sequence[str], counts: Sequence[str | None]) -> dict[str, int]:
    return {tenant: int(count or 0) for tenant, count in zip(tenants, counts, strict=True)}
