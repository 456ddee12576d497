"""Steps for `test_up_scaling.py`: one that waits to be let go, one that takes a worker along.

Both look for files in the folder that SCALING_STEPS names, so that a test decides when.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

WAIT_S = 60.0


def wait_until_opened(image: Any) -> Any:
    """Return once `opened` exists."""
    deadline = time.monotonic() + WAIT_S
    while not _file("opened").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return image


def take_the_worker_along(image: Any) -> Any:
    """Twice, kill the whole worker as the kernel does when a container's memory runs out."""
    if not _file("second").exists():
        _file("second" if _file("first").exists() else "first").touch()
        # The parent first: it would report the loss of a child, which is another thing.
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return image


def _file(name: str) -> Path:
    return Path(os.environ["SCALING_STEPS"]) / name
