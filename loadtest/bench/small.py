"""Jobs a second where the work is nothing: 1 KB, copied by a pipeline that does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from random import Random

from loadtest.bench import draining
from loadtest.bench.draining import Contender, Turn
from loadtest.bench.figures import Figure
from loadtest.bench.plan import Plan
from loadtest.bench.world import BenchError, World

TASK = "copy"
MEASURE = "copy 1 KB"
SIZE_BYTES = 1024
SEED = 20
LOOKED_AT = 20
"""One result in so many is compared byte by byte; all of them are counted."""
WARM_UP_OBJECTS = 20


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterable[Figure]:
    random = Random(SEED)
    uploads = {
        f"{index:05}.bin": random.randbytes(SIZE_BYTES) for index in range(plan.small_objects)
    }
    sources = {f"{TASK}/{name}": body for name, body in uploads.items()}
    draining.prepare_buckets(world, sources, ("plain", "results"))

    def check(name: str, keys: Sequence[str], bucket: str) -> None:
        if int(name.removesuffix(".bin")) % LOOKED_AT == 0:
            for key in keys:
                found = world.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                if found != uploads[name]:
                    raise BenchError(f"{bucket}/{key} is no copy of {name}")

    with ExitStack() as stack:
        contenders: list[Contender] = [
            stack.enter_context(draining.plain_celery(world, "plain", 2)),
            stack.enter_context(draining.marea(world, "results", {TASK: "copy"})),
        ]
        stack.enter_context(draining.turns(contenders))
        few = dict(list(uploads.items())[:WARM_UP_OBJECTS])
        for contender in contenders:
            draining.take_turn(world, contender, TASK, few, check)
        seen: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
        for repeat in range(plan.repeats):
            for contender in contenders:
                seen[contender.name].append(
                    draining.take_turn(world, contender, TASK, uploads, check)
                )
            told = ", ".join(f"{name} {turns[-1].per_s:.0f}" for name, turns in seen.items())
            say(f"    {repeat + 1}/{plan.repeats} {MEASURE}, jobs/s: {told}")
    return draining.figures("small", MEASURE, "jobs", seen)
