"""Steps of a user's own, for `test_cli.py`: a child that is killed, and one that waits.

Both look for files in the folder that OWN_STEPS names, so that a test decides when.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

WAIT_S = 60.0


def die_unless_mended(image: Any) -> Any:
    """Kill this process, as the kernel does when memory runs out, until `mended` exists."""
    if not _file("mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return image


def wait_until_opened(image: Any) -> Any:
    """Return once `opened` exists."""
    deadline = time.monotonic() + WAIT_S
    while not _file("opened").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return image


def _file(name: str) -> Path:
    return Path(os.environ["OWN_STEPS"]) / name
