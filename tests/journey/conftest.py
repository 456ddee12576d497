"""Makes the modules beside this file importable, and gives each journey a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from journey import kept_folder


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The journey's own folder."""
    with kept_folder(request.session) as path:
        yield path
