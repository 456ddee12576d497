"""What a process has imported when it begins to work: no library that it has no use for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NOT_NEEDED = {
    "gateway": ("PIL", "boto3", "numpy", "pandas", "pyarrow", "rich"),
    "worker": ("PIL", "boto3", "fastapi", "numpy", "pandas", "pyarrow", "rich", "uvicorn"),
    "reconciler": ("PIL", "boto3", "fastapi", "numpy", "pandas", "pyarrow", "rich", "uvicorn"),
}
PROGRAM = """
import sys
import marea.cli.main
try: marea.cli.main.main()
except SystemExit: pass
print("structlog" in sys.modules, *sorted(set(NOT_NEEDED) & set(sys.modules)))
"""


@pytest.mark.parametrize("process", NOT_NEEDED)
def test_a_process_imports_nothing_that_it_has_no_use_for(process: str) -> None:
    """It ends by itself: there is no broker of that kind, which is told after the imports."""
    program = PROGRAM.replace("NOT_NEEDED", repr(NOT_NEEDED[process]))
    done = subprocess.run(
        [sys.executable, "-c", program, process],
        env={**os.environ, "MAREA_BROKER__URL": "kafka://broker"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "a broker of kind 'kafka'" in done.stderr
    assert done.stdout == "True\n"


def test_rich_can_still_be_imported_afterwards() -> None:
    program = (
        "from marea.telemetry.lean_structlog import import_structlog; import_structlog()\n"
        "from rich.console import Console; Console().print('[b]well[/]')\n"
        "from marea.telemetry.logs import configure_logging; configure_logging('info', 'console')\n"
        "import structlog\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger('trial').exception('failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "well\n"
    assert "ZeroDivisionError" in done.stderr
