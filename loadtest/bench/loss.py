"""What a worker that is killed half-way costs: SIGKILL for the whole tree, and a new start.

Both programs run at the same time, each with a worker of its own, as nothing is timed. What
plain Celery's worker had taken and not begun waits in Redis (`unacked`) for the visibility
timeout, an hour; what its children had begun was acknowledged before, and is nowhere.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import redis

from loadtest.bench import draining
from loadtest.bench.corpus import draw_photo
from loadtest.bench.draining import Contender
from loadtest.bench.figures import Figure
from loadtest.bench.plan import Plan
from loadtest.bench.world import Running, World

TASK = "grayscale"
SIZE = (1280, 960)
SEED = 20
DATABASE = 2
PLAIN_RESULTS, MAREA_RESULTS = "plain", "results"
PIPELINES = {TASK: "grayscale"}
HASTY = {"MAREA_WORKER__HEARTBEAT_S": "1", "MAREA_WORKER__LEASE_S": "3"}
"""Of a quick run, which cannot wait for a lease of 15 s."""
MAREA_PATIENCE = 2
"""What Marea has not made after so many times the wait counts as lost."""
LOOK_EVERY_S = 0.05


@dataclass
class Victim:
    """A program whose worker is killed."""

    contender: Contender
    start: Callable[[], AbstractContextManager[Running]]
    """A new worker like the one before."""
    keys: Mapping[str, str]
    """Upload by result."""
    killed_at: float = 0.0
    """`time.monotonic`; 0 = lives."""

    def missing(self, world: World) -> set[str]:
        """Uploads without a result."""
        made = draining.listing(world, self.contender.results, f"{TASK}/")
        return {upload for result, upload in self.keys.items() if result not in made}

    def kill_at_half(self, world: World) -> bool:
        """Whether it is killed by now."""
        if not self.killed_at and len(self.missing(world)) <= len(self.keys) / 2:
            self.contender.worker.kill()
            self.killed_at = time.monotonic()
        return self.killed_at > 0


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterable[Figure]:
    body = draw_photo(SIZE, Random(SEED))
    uploads = {f"{index:04}.jpg": body for index in range(plan.loss_images)}
    sources = {f"{TASK}/{name}": body for name in uploads}
    draining.prepare_buckets(world, sources, (PLAIN_RESULTS, MAREA_RESULTS))
    seen: dict[str, list[Fate]] = defaultdict(list)
    for repeat in range(plan.loss_repeats):
        told = []
        for name, fate in _one_kill(world, plan, uploads).items():
            seen[name].append(fate)
            told.append(f"{name} {fate}")
        say(f"    {repeat + 1}/{plan.loss_repeats} {'; '.join(told)}")
        for bucket in (draining.UPLOADS, PLAIN_RESULTS, MAREA_RESULTS):
            draining.empty(world, bucket)
        world.redis.flush()
    note = f"Of {len(uploads)} images; the worker is killed when half of them are made."
    waiting = f"still waiting after {plan.loss_wait_s:g} s"
    for name, fates in seen.items():
        lost = tuple(float(fate.lost) for fate in fates)
        yield Figure("loss", "lost for good", name, "images", lost, note)
    for name, fates in seen.items():
        waited = tuple(float(fate.waiting) for fate in fates)
        yield Figure("loss", waiting, name, "images", waited, note)
    for name, fates in seen.items():
        after = tuple(fate.all_after_s for fate in fates if fate.all_after_s is not None)
        if len(after) == len(fates):
            yield Figure("loss", "all made after the kill", name, "s", after, note)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the images of one program."""

    lost: int
    waiting: int
    all_after_s: float | None
    """Seconds from the kill until every result was there; None = never in our time."""

    def __str__(self) -> str:
        after = "" if self.all_after_s is None else f", all made after {self.all_after_s:.0f} s"
        return f"lost {self.lost}, waiting {self.waiting}{after}"


def _one_kill(world: World, plan: Plan, uploads: Mapping[str, bytes]) -> dict[str, Fate]:
    settings = HASTY if plan.repeats == 1 else {}
    url = world.redis.url(DATABASE)
    plain_environment = draining.plain_environment(world, PLAIN_RESULTS, url=url)
    marea_environment = draining.marea_environment(world, MAREA_RESULTS, PIPELINES, **settings)
    with ExitStack() as stack:
        plain = stack.enter_context(draining.plain_celery(world, PLAIN_RESULTS, DATABASE))
        marea = stack.enter_context(draining.marea(world, MAREA_RESULTS, PIPELINES, **settings))
        with plain.worker.standing_still(), marea.worker.standing_still():
            plain_keys = _uploads_by_result(plain.fill(TASK, uploads))
            marea_keys = _uploads_by_result(marea.fill(TASK, uploads))
        victims = (
            Victim(plain, lambda: draining.plain_worker(world, plain_environment), plain_keys),
            Victim(marea, lambda: draining.marea_worker(world, marea_environment), marea_keys),
        )
        draining.wait_until(
            lambda: sum(victim.kill_at_half(world) for victim in victims) == len(victims),
            "half of the images are made",
            every_s=LOOK_EVERY_S,
        )
        for victim in victims:
            victim.contender.worker = stack.enter_context(victim.start())
        return _watch(world, plan, victims, redis.Redis.from_url(url))


def _watch(
    world: World, plan: Plan, victims: tuple[Victim, Victim], broker: Any
) -> dict[str, Fate]:
    """Look at both until the wait is over, then at Marea for as long again."""
    plain, marea = victims
    began = time.monotonic()
    all_after_s: dict[str, float] = {}

    def still_missing(victim: Victim) -> set[str]:
        missing = victim.missing(world)
        if not missing:
            all_after_s.setdefault(victim.contender.name, time.monotonic() - victim.killed_at)
        return missing

    def until(seconds: float, *looked_at: Victim) -> None:
        while time.monotonic() - began < seconds:
            if not sum(len(still_missing(victim)) for victim in looked_at):
                return
            time.sleep(10 * LOOK_EVERY_S)

    until(plan.loss_wait_s, plain, marea)
    in_redis = _in_redis(broker)
    plain_missing = still_missing(plain)
    marea_waiting = still_missing(marea)
    until(MAREA_PATIENCE * plan.loss_wait_s, marea)
    marea_lost = still_missing(marea)
    return {
        "plain Celery": Fate(
            lost=len(plain_missing - in_redis),
            waiting=len(plain_missing & in_redis),
            all_after_s=all_after_s.get("plain Celery"),
        ),
        "marea": Fate(
            lost=len(marea_lost),
            waiting=len(marea_waiting - marea_lost),
            all_after_s=all_after_s.get("marea"),
        ),
    }


def _uploads_by_result(made: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {key: name for name, keys in made.items() for key in keys}


def _in_redis(broker: Any) -> set[str]:
    """Uploads that plain Celery has in its list, or holds unacknowledged."""
    messages = [json.loads(text) for text in broker.lrange("celery", 0, -1)]
    messages += [json.loads(text)[0] for text in broker.hvals("unacked")]
    found = set()
    for message in messages:
        arguments, _options, _embedded = json.loads(b64decode(message["body"]))
        found.add(arguments[0].rpartition("/")[2])
    return found
