"""What a gateway remembers of the uploads that it has just made sure of."""

from __future__ import annotations

import pytest

from marea.clock import FakeClock
from marea.gateway import repeats
from marea.gateway.repeats import REMEMBERED_S, Repeats
from marea.messages.objects import ObjectRef

PHOTO = ObjectRef("uploads", "photo.jpg", "v1", "e", 3)


def test_knows_the_jobs_of_an_upload_for_a_minute() -> None:
    clock = FakeClock()
    known = Repeats(clock)
    assert known.jobs_of(PHOTO) is None
    known.remember([(PHOTO, ("job",))])
    clock.sleep(REMEMBERED_S - 1)
    assert known.jobs_of(PHOTO) == ("job",)
    clock.sleep(2)
    assert known.jobs_of(PHOTO) is None


def test_an_upload_without_jobs_is_known_too() -> None:
    known = Repeats(FakeClock())
    known.remember([(PHOTO, ())])
    assert known.jobs_of(PHOTO) == ()


def test_another_version_is_another_upload() -> None:
    known = Repeats(FakeClock())
    known.remember([(PHOTO, ("job",))])
    assert known.jobs_of(ObjectRef("uploads", "photo.jpg", "v2", "e", 3)) is None


def test_content_without_a_version_is_never_known_since_it_may_come_back() -> None:
    known = Repeats(FakeClock())
    content = ObjectRef("uploads", "photo.jpg", "", "e", 3)
    known.remember([(content, ("job",))])
    assert known.jobs_of(content) is None


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "REMEMBERED_UPLOADS", 2)
    known = Repeats(FakeClock())
    refs = [ObjectRef("uploads", f"{n}.jpg", "v", "e", 3) for n in range(3)]
    known.remember((ref, ()) for ref in refs)
    assert [known.jobs_of(ref) for ref in refs] == [None, (), ()]
