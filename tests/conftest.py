"""Server fixtures for every folder, and a mark per folder.

`pytest -m unit` and `pytest tests/unit` select the same; so a mark never has to be written
into a test file, and cannot be forgotten.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Helpers of the tests (`import servers`) live beside this file, in no package; `loadtest`
# beside the folder.
for folder in (TESTS.parent, TESTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

pytest_plugins = ["servers"]

FOLDERS = ("unit", "contract", "chart", "simulation", "integration", "flow", "journey", "cluster")


def pytest_configure(config: pytest.Config) -> None:
    for folder in FOLDERS:
        config.addinivalue_line("markers", f"{folder}: lives in tests/{folder}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
