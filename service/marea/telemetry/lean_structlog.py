"""Imports structlog without rich, which it takes for tracebacks if it finds it; ours are plain."""

from __future__ import annotations

import sys


def import_structlog() -> None:
    """Called by a process before anything else imports structlog: spares it 0.12 s of its start
    and 3 MB (measured). Without effect where either is there already."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    # Makes `import rich` raise ImportError, for as long as structlog looks for it.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
