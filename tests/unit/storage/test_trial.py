"""`marea store try`, on a store in memory where somebody else plays the platform."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from marea.clock import FakeClock
from marea.errors import StoreUnavailable
from marea.messages.record import Record
from marea.settings import StoreSettings
from marea.storage.memory import MemoryObjectStore
from marea.storage.naming import record_key
from marea.storage.object_store import ObjectPage
from marea.storage.trial import Trial, TrialFailed, small_picture, try_upload

SETTINGS = StoreSettings(secret_key=SecretStr("x"))
JOB = "0123456789abcdef" * 2


class FlakyStore(MemoryObjectStore):
    """Does not answer the next `away_for` listings."""

    away_for = 0

    def list_objects(self, bucket: str, **where: Any) -> ObjectPage:
        if self.away_for:
            self.away_for -= 1
            raise StoreUnavailable("away")
        return super().list_objects(bucket, **where)


class Platform(FakeClock):
    """Lets an upload end while its client sleeps. `endings` are the states of its jobs."""

    def __init__(self, store_made_after_s: float = 0.0, **endings: str) -> None:
        super().__init__()
        self.store = FlakyStore(self)
        self._endings = endings
        self._buckets_at = self.now() + store_made_after_s
        self._has_buckets = False
        self._make_buckets()

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._make_buckets()
        if self._has_buckets:
            self._finish()

    def _make_buckets(self) -> None:
        if not self._has_buckets and self.now() >= self._buckets_at:
            self.store.create_bucket("uploads")
            self.store.create_bucket("results")
            self._has_buckets = True

    def _finish(self) -> None:
        for row in self.store.list_versions("uploads").rows:
            for pipeline, state in self._endings.items():
                name = record_key(".marea/", "uploads", row.ref.key, pipeline, JOB)
                if self.store.head("results", name) is None:
                    record = Record(JOB, state, row.ref, pipeline)  # type: ignore[arg-type]
                    self.store.put("results", name, record.to_json())


def trial(platform: Platform, timeout_s: float = 60.0, said: list[str] | None = None) -> Trial:
    return try_upload(
        platform.store,
        SETTINGS,
        platform,
        bucket="uploads",
        prefix="marea-try/",
        timeout_s=timeout_s,
        say=(said if said is not None else []).append,
    )


def test_tells_how_each_pipeline_ended_and_how_long_the_first_took() -> None:
    ended = trial(Platform(thumbs="done", grayscale="done"))
    assert [record.pipeline for record in ended.records] == ["grayscale", "thumbs"]
    assert ended.is_well
    assert ended.first_s == pytest.approx(0.2)
    assert ended.ref.key.startswith("marea-try/")


def test_one_that_ended_otherwise_is_not_well() -> None:
    assert not trial(Platform(thumbs="done", grayscale="rejected")).is_well


def test_where_nothing_comes_it_is_said_where_to_look() -> None:
    with pytest.raises(TrialFailed) as failed:
        trial(Platform(), timeout_s=5.0)
    for place in ("within 5 s", "marea status", "store check", "route test", "gateway's log"):
        assert place in str(failed.value)


def test_records_of_other_uploads_are_not_taken_for_ours() -> None:
    platform = Platform()
    ref = platform.store.put("uploads", "marea-try/other.png", b"x")
    name = record_key(".marea/", "uploads", ref.key, "grayscale", JOB)
    platform.store.put("results", name, Record(JOB, "done", ref, "grayscale").to_json())
    with pytest.raises(TrialFailed):
        trial(platform, timeout_s=2.0)


def test_a_store_that_is_not_prepared_is_waited_for() -> None:
    said: list[str] = []
    assert trial(Platform(store_made_after_s=10.0, grayscale="done"), said=said).is_well
    waits = [text for text in said if text.startswith("waiting for the object store")]
    assert len(waits) == 1
    assert "'uploads' does not exist" in waits[0]


def test_a_store_that_stays_unprepared_is_told_as_the_reason() -> None:
    with pytest.raises(TrialFailed, match=r"The upload itself failed: .*'uploads' does not exist"):
        trial(Platform(store_made_after_s=10.0), timeout_s=3.0)


def test_a_store_that_is_away_for_a_moment_is_asked_again() -> None:
    platform = Platform(grayscale="done")
    platform.store.away_for = 3
    assert trial(platform).is_well
    assert platform.store.away_for == 0


def test_the_picture_is_one_and_another_each_time() -> None:
    one, other = small_picture(), small_picture()
    assert one != other
    with Image.open(BytesIO(one)) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (48, 48))
