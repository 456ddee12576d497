"""AWS Lambda on an SQS queue: 5 invocations at once, then 300 more a minute; no call is stopped.

From AWS's page on scaling of SQS event sources. Our pods take the place of its environments,
with the same start-up as everybody's, `slots` invocations each. Idle ones go at once, since
Lambda bills none; the last one stays for five minutes (how long, Lambda does not say).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from marea.simulator.pod import Phase
from marea.simulator.scaler import Scaler

if TYPE_CHECKING:
    from marea.simulator.pool import Pool
    from marea.simulator.world import World

TICK_S = 1.0
FIRST = 5
PER_MINUTE = 300.0
KEPT_S = 300.0


class LambdaScaler(Scaler):
    def begin(self, world: World) -> None:
        for pool in world.pools.values():
            world.every(TICK_S, world.trace.first_s + TICK_S, self._tick(world, pool))

    def _tick(self, world: World, pool: Pool) -> Callable[[], None]:
        allowed = float(FIRST)
        busy_s = world.trace.first_s
        most = world.trace.alone_max(pool.spec)

        def tick() -> None:
            nonlocal allowed, busy_s
            if not world.is_readable:
                return
            in_system = pool.ready_messages + pool.unacked
            if in_system:
                busy_s = world.now
            allowed = allowed + PER_MINUTE * TICK_S / 60 if pool.ready_messages else float(FIRST)
            concurrency = min(in_system, max(math.floor(allowed), pool.unacked))
            wanted = min(most, math.ceil(concurrency / pool.spec.slots))
            if wanted > pool.wanted:
                pool.scale(wanted)
            elif world.now - busy_s >= KEPT_S or wanted < pool.wanted:
                kept = 0 if world.now - busy_s >= KEPT_S else max(1, wanted)
                idle = [pod for pod in pool.pods if pod.phase is Phase.READY and pod.is_idle]
                pool.retire(idle[: max(0, pool.wanted - kept)])

        return tick
