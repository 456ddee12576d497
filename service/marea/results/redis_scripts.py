"""The Lua that `redis.py` runs: what must happen at once, and nothing that could be decided
outside. Redis 6.2, 7 and Valkey 8 run it; single server (keys are composed from a prefix, so
a Redis Cluster needs the whole prefix in one hash tag).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from marea.lifecycle.state import JobState
from marea.messages.notification import Notification
from marea.results.codec import encode_notification, encode_row
from marea.results.demand import kind_of, kind_text, ran_s
from marea.results.index import Position, escaped, placement


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua text and the digest under which the server caches it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


class ScriptCall(NamedTuple):
    """A script with what it is told."""

    script: Script
    keys: list[str]
    arguments: list[str]


_TRIM = """
local prefix = ARGV[1]
local ended = {'done', 'superseded', 'rejected', 'dead', 'cancelled', 'gone'}

-- Forget ended jobs whose retention is over. Only what stands in an ended index is touched.
local function trim(index, now, limit)
  local stale = redis.call('ZRANGEBYSCORE', prefix .. index, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(stale) do
    redis.call('ZREM', prefix .. index, id)
    redis.call('ZREM', prefix .. 'jobs', id)
    redis.call('DEL', prefix .. 'job:' .. id)
  end
end
"""

SAVE = Script(
    _TRIM
    + """
local key = KEYS[1]
local id, expected, now = ARGV[2], ARGV[3], ARGV[4]
local row, index, score = ARGV[5], ARGV[6], ARGV[7]
local tenant, owner = ARGV[8], ARGV[9]
local created_at, published_at, retention_ms = ARGV[10], ARGV[11], ARGV[12]
local job_kind, ran_us = ARGV[13], ARGV[14]

local old_row = redis.call('GET', key)
local old_rev, old_index, old_tenant, old_expiry, old_job_kind = '0', '', '', '', ''
if old_row then
  old_rev, old_index, old_tenant, old_expiry, old_job_kind =
    string.match(old_row, '^(%d+)\\t([^\\t]*)\\t([^\\t]*)\\t([^\\t\\n]*)\\t?([^\\n]*)\\n')
end
if old_expiry ~= '' and tonumber(old_expiry) <= tonumber(now) then
  old_rev = '0'
end
if old_rev ~= expected then
  return 0
end

-- First the write that a full server refuses, before anything else has changed.
if retention_ms == '' then
  redis.call('SET', key, row)
else
  redis.call('SET', key, row, 'PX', retention_ms)
end

local function kind(name)
  return string.match(name, '^%a+')
end
local function lane_of(name)
  return string.match(name, '^%a+:(.*)$')
end
-- Running jobs of a kind: how many, and the sum of their starts in milliseconds.
local function count_run(name, job_kind, sign, started_at)
  local runs = prefix .. 'runs:' .. lane_of(name)
  local starts = sign * math.floor(tonumber(started_at) * 1000) + 0  -- no -0, which is no integer
  redis.call('HINCRBY', runs, 'starts|' .. job_kind, string.format('%.0f', starts))
  if redis.call('HINCRBY', runs, 'jobs|' .. job_kind, sign) <= 0 then
    redis.call('HDEL', runs, 'jobs|' .. job_kind, 'starts|' .. job_kind)
  end
end

local old_start = kind(old_index) == 'running' and redis.call('ZSCORE', prefix .. old_index, id)
if not old_row then
  -- The row may have expired by itself and left its ended index behind.
  for _, phase in ipairs(ended) do
    redis.call('ZREM', prefix .. 'ended:' .. phase, id)
  end
elseif old_index ~= index then
  redis.call('ZREM', prefix .. old_index, id)
end
if kind(old_index) == 'queued' or kind(old_index) == 'running' then
  if redis.call('HINCRBY', prefix .. 'tenants', old_tenant, -1) <= 0 then
    redis.call('HDEL', prefix .. 'tenants', old_tenant)
  end
end
if kind(old_index) == 'queued' and old_job_kind ~= '' then
  local mix = prefix .. 'mix:' .. lane_of(old_index)
  if redis.call('HINCRBY', mix, old_job_kind, -1) <= 0 then
    redis.call('HDEL', mix, old_job_kind)
  end
end
if kind(old_index) == 'running' then
  redis.call('HDEL', prefix .. 'owners', id)
  if old_job_kind ~= '' and old_start then
    count_run(old_index, old_job_kind, -1, old_start)
  end
  if ran_us ~= '' then
    local field = string.match(lane_of(old_index), '^(.*):') .. '|' .. job_kind
    redis.call('HINCRBY', prefix .. 'served:jobs', field, 1)
    redis.call('HINCRBY', prefix .. 'served:us', field, ran_us)
  end
end
if kind(old_index) == 'waiting' and redis.call('EXISTS', prefix .. old_index) == 0 then
  redis.call('SREM', prefix .. 'waiting-tenants', old_tenant)
end

redis.call('ZADD', prefix .. index, score, id)
redis.call('ZADD', prefix .. 'jobs', created_at, id)
if kind(index) == 'queued' or kind(index) == 'running' then
  redis.call('HINCRBY', prefix .. 'tenants', tenant, 1)
  local lane = lane_of(index)
  redis.call('SADD', prefix .. 'lanes', lane)
  if kind(old_index) ~= 'queued' and kind(old_index) ~= 'running' then
    redis.call('HINCRBY', prefix .. 'arrived', string.match(lane, '^(.*):'), 1)
  end
end
if kind(index) == 'queued' then
  redis.call('HINCRBY', prefix .. 'mix:' .. lane_of(index), job_kind, 1)
end
if kind(index) == 'running' then
  redis.call('HSET', prefix .. 'owners', id, owner)
  count_run(index, job_kind, 1, score)
  local lane = lane_of(index)
  local latest = redis.call('HGET', prefix .. 'started', lane)
  if not latest or tonumber(latest) < tonumber(published_at) then
    redis.call('HSET', prefix .. 'started', lane, published_at)
  end
end
if kind(index) == 'waiting' then
  redis.call('SADD', prefix .. 'waiting-tenants', tenant)
end

-- A save adds at most one entry and takes away up to 16: the index cannot outgrow retention.
if retention_ms ~= '' then
  trim(index, now, 16)
end
for i = 15, #ARGV, 3 do
  redis.call('HSET', prefix .. 'outbox:entries', ARGV[i], ARGV[i + 2])
  redis.call('ZADD', prefix .. 'outbox', ARGV[i + 1], ARGV[i])
end
redis.call('PUBLISH', prefix .. 'saved', row)
return 1
"""
)
"""Compare-and-swap of one row with every index, the outbox and the announcement. 1 = won."""

COUNTS = Script(
    _TRIM
    + """
local now = ARGV[2]
local reply = {}
local function tell(name, count)
  table.insert(reply, name)
  table.insert(reply, count)
end
for _, lane in ipairs(redis.call('SMEMBERS', prefix .. 'lanes')) do
  tell('queued:' .. lane, redis.call('ZCARD', prefix .. 'queued:' .. lane))
  tell('running:' .. lane, redis.call('ZCARD', prefix .. 'running:' .. lane))
end
local waiting = 0
for _, tenant in ipairs(redis.call('SMEMBERS', prefix .. 'waiting-tenants')) do
  waiting = waiting + redis.call('ZCARD', prefix .. 'waiting:' .. tenant)
end
tell('waiting', waiting)
for _, phase in ipairs({'accepted', 'delayed', 'verdict'}) do
  tell(phase, redis.call('ZCARD', prefix .. phase))
end
for _, phase in ipairs(ended) do
  trim('ended:' .. phase, now, 1000)
  tell('ended:' .. phase, redis.call('ZCOUNT', prefix .. 'ended:' .. phase, '(' .. now, '+inf'))
end
return reply
"""
)
"""Index name and count, alternating, for every phase index."""

DEMAND = Script(
    """
local prefix = ARGV[1]
local lanes = {}
for _, lane in ipairs(redis.call('SMEMBERS', prefix .. 'lanes')) do
  local queue = prefix .. 'queued:' .. lane
  local oldest = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  table.insert(lanes, {
    lane,
    redis.call('ZCARD', queue),
    redis.call('ZCARD', prefix .. 'running:' .. lane),
    oldest[2] or '',
    redis.call('HGETALL', prefix .. 'mix:' .. lane),
    redis.call('HGETALL', prefix .. 'runs:' .. lane)
  })
end
return {
  lanes,
  redis.call('HGETALL', prefix .. 'arrived'),
  redis.call('HGETALL', prefix .. 'served:jobs'),
  redis.call('HGETALL', prefix .. 'served:us')
}
"""
)
"""What waits, by lane and kind, and what has been: see demand.py."""

PAGE = Script(
    _TRIM
    + """
local now, kind, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local after_score, after_id = ARGV[5], ARGV[6]

local indexes = {kind}
if kind == 'queued' or kind == 'running' then
  indexes = {}
  for _, lane in ipairs(redis.call('SMEMBERS', prefix .. 'lanes')) do
    table.insert(indexes, kind .. ':' .. lane)
  end
elseif kind == 'waiting' then
  indexes = {}
  for _, tenant in ipairs(redis.call('SMEMBERS', prefix .. 'waiting-tenants')) do
    table.insert(indexes, 'waiting:' .. tenant)
  end
end
for _, phase in ipairs(ended) do
  if kind == 'jobs' or kind == 'ended:' .. phase then
    trim('ended:' .. phase, now, 1000)
  end
end

-- Rank of the first entry after the cursor. Jobs of one event body share their time, so the
-- place among the ties is searched by halves.
local function rank_after(index)
  if after_score == '' then
    return 0
  end
  local low = redis.call('ZCOUNT', index, '(' .. after_score, '+inf')
  local high = low + redis.call('ZCOUNT', index, after_score, after_score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZREVRANGE', index, middle, middle)[1] < after_id then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local reply = {}
for _, index in ipairs(indexes) do
  local first = rank_after(prefix .. index)
  local found = redis.call(
    'ZREVRANGE', prefix .. index, first, first + limit - 1, 'WITHSCORES')
  for _, value in ipairs(found) do
    table.insert(reply, value)
  end
end
return reply
"""
)
"""Id and score, alternating: up to `limit` of each index of a phase, newest first."""

OUTBOX_DUE = Script(
    """
local prefix, now, limit = ARGV[1], ARGV[2], ARGV[3]
local reply = {}
local due = redis.call('ZRANGEBYSCORE', prefix .. 'outbox', '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(due) do
  local entry = redis.call('HGET', prefix .. 'outbox:entries', id)
  if entry then
    table.insert(reply, entry)
  end
end
return reply
"""
)
"""The entries due, earliest first."""


def save_call(
    prefix: str,
    stored: JobState,
    notifications: Sequence[Notification],
    *,
    now: float,
    retention_s: float,
) -> ScriptCall:
    """`SAVE` of `stored` over the row that has the rev before its own."""
    job_id = stored.job.id
    expires_at = now + retention_s if stored.is_terminal else None
    index, score = placement(stored, expires_at)
    arguments = [
        prefix,
        job_id,
        str(stored.rev - 1),
        repr(now),
        encode_row(stored, expires_at),
        index,
        repr(score),
        escaped(stored.job.tenant),
        stored.owner,
        repr(stored.created_at),
        repr(stored.published_at),
        "" if expires_at is None else str(milliseconds(retention_s)),
        kind_text(kind_of(stored)),
        "" if (seconds := ran_s(stored)) is None else str(round(seconds * 1e6)),
    ]
    for each in notifications:
        arguments += [each.id, repr(each.due_at), encode_notification(each)]
    return ScriptCall(SAVE, [f"{prefix}job:{job_id}"], arguments)


def counts_call(prefix: str, *, now: float) -> ScriptCall:
    return ScriptCall(COUNTS, [], [prefix, repr(now)])


def demand_call(prefix: str) -> ScriptCall:
    return ScriptCall(DEMAND, [], [prefix])


def page_call(
    prefix: str, kind: str, after: Position | None, limit: int, *, now: float
) -> ScriptCall:
    """`PAGE` of `kind`: `jobs`, an open phase, or `ended:<phase>`."""
    bound = ["", ""] if after is None else [repr(after.score), after.job_id]
    return ScriptCall(PAGE, [], [prefix, repr(now), kind, str(limit), *bound])


def outbox_due_call(prefix: str, *, now: float, limit: int) -> ScriptCall:
    return ScriptCall(OUTBOX_DUE, [], [prefix, repr(now), str(limit)])


def milliseconds(seconds: float) -> int:
    """For Redis' PX, which refuses 0."""
    return max(1, int(seconds * 1000))
