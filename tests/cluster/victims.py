"""Deletes pods by force while files are uploaded, at seeded random."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from installation import Installation, tell


@contextmanager
def pods_deleted(
    run: Installation, seed: int, *, components: tuple[str, ...], every_s: float, times: int
) -> Iterator[Counter[str]]:
    """While the block runs, each `every_s` a pod of one of `components` is gone without any
    grace, `times` in all at most; at the end, one of each at once. Counts the deletions by
    component."""
    chance = random.Random(seed)
    stop = threading.Event()
    deleted: Counter[str] = Counter()

    def delete(component: str) -> None:
        names = [pod["metadata"]["name"] for pod in run.pods(component)]
        if names:
            run.kubectl(
                *("delete", "pod", chance.choice(sorted(names)), "--force", "--grace-period=0"),
                *("--wait=false", "--ignore-not-found"),
            )
            deleted[component] += 1

    def haunt() -> None:
        for _ in range(times):
            if stop.wait(every_s):
                return
            delete(chance.choice(components))

    thread = threading.Thread(target=haunt)
    thread.start()
    try:
        yield deleted
    finally:
        stop.set()
        thread.join()
    for component in components:
        delete(component)
    tell(f"{run.namespace}: deleted by force: {dict(deleted)}")
