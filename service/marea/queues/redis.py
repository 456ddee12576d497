"""What is particular to Redis and Valkey as a broker: counting, and undoing a worker's death.

kombu keeps a queue as a list (LPUSH in, BRPOP out: the right end is the front) and a delivered
message, until it is acknowledged, in a hash `tag -> [message, exchange, routing key]` with a
sorted set `tag -> time of delivery` beside it. Each of our worker processes has a hash and a
set of its own (`unacked_keys`, given to kombu as transport options), so that the reconciler can
return exactly what a dead one held (design rule 8) instead of waiting for a timeout that must
be longer than the longest job. Not here: publishing and consuming, which are kombu's.

Redis Cluster is not supported, by kombu neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from marea.errors import BacklogUnavailable, BrokerUnavailable, MareaError
from marea.queues.broker import DeadLetter, QueueDepth
from marea.queues.names import pool_queues
from marea.queues.redis_address import broker_address, explain, open_client
from marea.settings import Settings

HOLDERS_KEY = "marea:holders"
"""Set of the workers that may hold messages: finding them by KEYS or SCAN would cost as much
as the whole database is big."""
EPOCH_KEY = "marea:epoch"

# One snapshot: between two commands a message could move from ready to unacknowledged and be
# counted in neither. Replies the lengths of the ARGV queues, then queue, count, queue, count…
_DEPTHS = """
local reply = {}
for i, queue in ipairs(ARGV) do reply[i] = redis.call('LLEN', queue) end
local unacked = {}
for _, worker in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  for _, held in ipairs(redis.call('HVALS', 'marea:unacked:' .. worker)) do
    local ok, message = pcall(cjson.decode, held)
    if ok and type(message) == 'table' and type(message[3]) == 'string' then
      unacked[message[3]] = (unacked[message[3]] or 0) + 1
    end
  end
end
for queue, count in pairs(unacked) do
  reply[#reply + 1] = queue
  reply[#reply + 1] = count
end
return reply
"""

# KEYS: hash, index, mutex, holders. ARGV: worker, then tag, queue, message…; newest first.
# A tag moves only if it is still in the hash, so a second reconciler, or a retry of a script
# whose reply was lost, moves nothing twice. A message without a queue ("") cannot be read and
# is dropped: the ledger's evidence publishes its job again.
_REQUEUE = """
local moved = 0
for i = 2, #ARGV, 3 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 and ARGV[i + 1] ~= '' then
    redis.call('RPUSH', ARGV[i + 1], ARGV[i + 2])
    moved = moved + 1
  end
  redis.call('ZREM', KEYS[2], ARGV[i])
end
if redis.call('HLEN', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('SREM', KEYS[4], ARGV[1])
end
return moved
"""


@dataclass(frozen=True, slots=True)
class UnackedKeys:
    """Where kombu keeps what one worker process holds."""

    messages: str
    index: str
    mutex: str


def unacked_keys(worker: str) -> UnackedKeys:
    """`worker` must be new with every process start: under a reused name the messages of the
    process before would look held by a live worker."""
    return UnackedKeys(
        f"marea:unacked:{worker}",
        f"marea:unacked_index:{worker}",
        f"marea:unacked_mutex:{worker}",
    )


class RedisBroker:
    """`Broker` on Redis or Valkey. Thread-safe, fork-safe (redis-py's pool is both)."""

    redelivers: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        """Does not connect. Raises `ConfigError` for a URL that is none."""
        timeout_s = settings.broker.publish_timeout_s / 2  # once to connect, once to be answered
        self._client: Any = open_client(
            broker_address(settings.broker),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            socket_keepalive=True,
            health_check_interval=25,
            # After a restart of the server a pooled connection is dead: one more try, at once.
            # Never after a timeout (redis-py's default retries those for half a minute), and
            # all commands here may run twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._depths = self._client.register_script(_DEPTHS)
        self._requeue = self._client.register_script(_REQUEUE)

    def depths(self, pools: Sequence[str]) -> Mapping[str, QueueDepth]:
        queues = [queue for pool in pools for queue in pool_queues(pool)]
        with _errors_as(BacklogUnavailable, "the queues on Redis could not be counted"):
            reply = self._depths(keys=[HOLDERS_KEY], args=queues)
        ready, pairs = reply[: len(queues)], reply[len(queues) :]
        unacked = {pairs[i].decode(): int(pairs[i + 1]) for i in range(0, len(pairs), 2)}
        return {
            queue: QueueDepth(int(count), unacked.get(queue, 0))
            for queue, count in zip(queues, ready, strict=True)
        }

    def register_holder(self, worker: str) -> None:
        """Note that `worker` may hold messages, before it takes the first one and again and
        again, since the note can be lost with all of Redis. `requeue` takes it off."""
        with _errors_as(BrokerUnavailable, "the worker could not be announced to Redis"):
            self._client.sadd(HOLDERS_KEY, worker)

    def holders(self) -> Mapping[str, int]:
        with _errors_as(BrokerUnavailable, "the workers' messages could not be counted"):
            workers = sorted(name.decode() for name in self._client.smembers(HOLDERS_KEY))
            with self._client.pipeline(transaction=False) as pipeline:
                for worker in workers:
                    pipeline.hlen(unacked_keys(worker).messages)
                return dict(zip(workers, map(int, pipeline.execute()), strict=True))

    def requeue(self, worker: str, but: Collection[str] = ()) -> int:
        keys = unacked_keys(worker)
        with _errors_as(BrokerUnavailable, f"the messages of {worker} could not be returned"):
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hgetall(keys.messages).zrange(keys.index, 0, -1, withscores=True)
                held, index = pipeline.execute()
            delivered_at = dict(index)
            # The one delivered first is pushed last, so it is the next to be popped.
            given_back = [tag for tag in held if _job_id(held[tag]) not in but]
            newest_first = sorted(
                given_back, key=lambda tag: delivered_at.get(tag, 0.0), reverse=True
            )
            arguments: list[bytes | str] = [worker]
            for tag in newest_first:
                arguments += [tag, *_as_redelivered(held[tag])]
            return int(
                self._requeue(
                    keys=[keys.messages, keys.index, keys.mutex, HOLDERS_KEY], args=arguments
                )
            )

    def drain_dead_letters(
        self,
        pools: Sequence[str],  # noqa: ARG002
        handle: Callable[[DeadLetter], None],  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> int:
        """0: Redis never gives up on a message; the ledger's budget of attempts does."""
        return 0

    def epoch(self) -> str | None:
        with _errors_as(BrokerUnavailable, "the broker's epoch could not be read"):
            mark = self._client.get(EPOCH_KEY)
        return None if mark is None else str(mark.decode())

    def set_epoch(self, epoch: str) -> None:
        with _errors_as(BrokerUnavailable, "the broker's epoch could not be written"):
            self._client.set(EPOCH_KEY, epoch)

    def declare(self, pools: Sequence[str]) -> None:  # noqa: ARG002
        """A list needs no declaration: only sees whether Redis answers."""
        with _errors_as(BrokerUnavailable, "Redis does not answer"):
            self._client.ping()


def _job_id(held: bytes) -> str:
    """Of a message as kombu holds it; "" for one that cannot be read."""
    try:
        return str(json.loads(held)[0]["headers"]["id"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""


def _as_redelivered(held: bytes) -> tuple[str, str]:
    """Queue and message as kombu's `_do_restore_message` would restore them."""
    try:
        message, _exchange, routing_key = json.loads(held)
        message["headers"]["redelivered"] = True
        message["properties"]["delivery_info"]["redelivered"] = True
        return str(routing_key), json.dumps(message, separators=(",", ":"))
    except (ValueError, KeyError, TypeError):
        return "", ""


@contextmanager
def _errors_as(error: type[MareaError], fact: str) -> Iterator[None]:
    try:
        yield
    except redis.RedisError as exc:
        raise error(f"{fact}: {explain(exc)}; look at the server and at MAREA_BROKER__URL") from exc
