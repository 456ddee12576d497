"""Asks every source once a second while a block runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from loadtest.observe.look import Look, Source, Unseen
from loadtest.runs.data import Sample

INTERVAL_S = 1.0


class Sampler:
    """A thread of its own. Times are seconds since `began_at`, which may be set later."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._looks: list[Look] = []
        self._unseen: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def samples(self, began_at: float) -> tuple[Sample, ...]:
        """All so far, in the order of time."""
        return tuple(
            replace(look.as_sample(), at_s=look.at_s - began_at) for look in list(self._looks)
        )

    @property
    def latest(self) -> Sample | None:
        return self._looks[-1].as_sample() if self._looks else None

    def notes(self) -> list[str]:
        """What could not be seen, a sentence a source."""
        looks = max(1, len(self._looks))
        return [
            f"{name}: {why} ({missed} of {looks} looks)."
            for name, (missed, why) in sorted(self._unseen.items())
        ]

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            look = Look(time.time())
            for source in self._sources:
                try:
                    source.fill(look)
                except Unseen as exc:
                    self._miss(source, str(exc))
                except Exception as exc:  # this thread's end would be silence, told by nobody
                    self._miss(source, f"failed by {exc!r}")
            self._looks.append(look)
            due = max(due + INTERVAL_S, time.monotonic())
            self._over.wait(max(0.0, due - time.monotonic()))

    def _miss(self, source: Source, why: str) -> None:
        missed, _ = self._unseen.get(source.name, (0, ""))
        self._unseen[source.name] = (missed + 1, why)
