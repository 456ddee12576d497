"""One lab for all tests of this folder, brought up by the first that asks and down at the end.

It stays up if it was up before, or if MAREA_LAB_KEEP=1 says so. On a machine that cannot run it
the tests are skipped with the reason; a lab that should run and does not is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_lab import Lab

HERE = Path(__file__).parent
TEST_LIMIT_S = 600
"""Installing takes half a minute, a run with 500 uploads three: more than a test elsewhere."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running cluster with all images loaded, and this process in its network like any client."""
    lab = Lab()
    if reason := lab.obstacle():
        pytest.skip(reason)
    was_up = lab.is_up
    lab.images()
    lab.up()
    try:
        lab.load_project()
        with lab.network():
            yield lab
    finally:
        if not was_up and os.environ.get("MAREA_LAB_KEEP") != "1":
            lab.down()
