"""The probe tries conditional PUT and says what is lost without it."""

from __future__ import annotations

from typing import Any

import pytest

from marea.clock import FakeClock
from marea.errors import StoreUnavailable
from marea.messages.objects import ObjectRef
from marea.storage.memory import MemoryObjectStore
from marea.storage.object_store import ALWAYS, IF_ABSENT, PutCondition
from marea.storage.probing import HEADER_NOT_IMPLEMENTED, probe_abilities


class OlderStore(MemoryObjectStore):
    """A store that does not know one of the headers, as several once did not."""

    def __init__(self, ignores: str, error: str = "") -> None:
        super().__init__(FakeClock())
        self._ignores = ignores
        self._error = error
        self.create_bucket("uploads")
        self.create_bucket("results")

    def put(self, bucket: str, key: str, data: bytes, **options: Any) -> ObjectRef:
        condition: PutCondition = options.pop("condition", ALWAYS)
        if (condition == IF_ABSENT) == (self._ignores == "If-None-Match"):
            if self._error:
                raise StoreUnavailable("no", code=self._error)
            condition = ALWAYS
        return super().put(bucket, key, data, condition=condition, **options)


@pytest.mark.parametrize("error", ["", HEADER_NOT_IMPLEMENTED])
@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_store_without_conditional_put_is_told_from_one_with_it(header: str, error: str) -> None:
    abilities = probe_abilities(OlderStore(header, error), ".marea/", ("uploads",), "results")
    assert not abilities.conditional_put
    assert f"ignores {header} on PUT" in abilities.sentence
    assert "MAREA_STORE__ALLOW_UNORDERED=true" in abilities.sentence


def test_a_store_that_is_away_is_not_taken_for_an_old_one() -> None:
    with pytest.raises(StoreUnavailable):
        probe_abilities(
            OlderStore("If-Match", "store-unavailable"), ".marea/", ("uploads",), "results"
        )
