"""An autoscaler on doubles: a broker, a ledger and fleets in memory, and a clock that is told."""

from __future__ import annotations

import pytest
from scaled_pool import ScaledPool


@pytest.fixture
def pool() -> ScaledPool:
    return ScaledPool()
