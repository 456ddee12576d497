"""What waits and what is held, as the broker itself counts it."""

from __future__ import annotations

from collections.abc import Mapping

from loadtest.observe.look import Look, Unseen
from marea.errors import MareaError
from marea.settings import load_settings
from marea.wiring import build_broker, build_declarations


class BrokerSource:
    """Asks Redis or RabbitMQ. Raises `MareaError` for settings that lead nowhere."""

    name = "broker"

    def __init__(self, environment: Mapping[str, str]) -> None:
        known = {name: text for name, text in environment.items() if name.startswith("MAREA_")}
        settings = load_settings(known)
        self._pools = tuple(build_declarations(settings).pools)
        self._broker = build_broker(settings)

    def fill(self, look: Look) -> None:
        try:
            depths = self._broker.depths(self._pools)
        except MareaError as exc:
            raise Unseen(f"the broker did not answer: {exc}") from exc
        for queue, depth in depths.items():
            pool = queue.rpartition(".")[0] or queue
            look.ready[pool] = look.ready.get(pool, 0) + depth.ready
            if depth.unacked is not None:
                look.unacked[pool] = look.unacked.get(pool, 0) + depth.unacked
