"""The merge of two listings answers each row as a whole join of them would, in little memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marea.messages.objects import ObjectRef
from marea.storage import naming
from marea.storage.merge import RecordMerge
from marea.storage.naming import record_key, record_stem, records_prefix
from marea.storage.object_store import ListedVersion

BASE = records_prefix(".marea/", "uploads")
Answers = list[tuple[ListedVersion, frozenset[str]]]


def job_id(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def row_of(key: str, number: int = 0) -> ListedVersion:
    return ListedVersion(ObjectRef("uploads", key, f"v{number}"), number == 0, False, 0.0)


def name_of(key: str, number: int = 0) -> str:
    return record_key(".marea/", "uploads", key, "im", job_id(f"{key} {number}"))


def merged(
    rows: list[ListedVersion], names: list[str], row_page: int, record_page: int
) -> tuple[Answers, int]:
    """What a sweep gets, and the most job ids that were held on the way."""
    merge = RecordMerge(".marea/", "uploads")
    answers: Answers = []
    most_held = 0
    read = 0
    for start in range(0, len(rows), row_page):
        merge.add_rows(rows[start : start + row_page])
        while merge.needs_records():
            page = names[read : read + record_page]
            read += len(page)
            merge.add_records(page, exhausted=read >= len(names))
            most_held = max(most_held, merge.held_ids)
            answers += merge.ready()
        answers += merge.ready()
        most_held = max(most_held, merge.held_ids)
        assert merge.pending_rows == 0
    return answers, most_held


def joined(rows: Iterable[ListedVersion], names: Iterable[str]) -> Answers:
    """The same by brute force."""
    by_stem: dict[str, set[str]] = {}
    for name in names:
        by_stem.setdefault(name[len(BASE) : name.rindex("!")], set()).add(name[-32:])
    return [(row, frozenset(by_stem.get(record_stem(BASE, row.ref.key), ()))) for row in rows]


def listed(keys: Iterable[tuple[str, int]]) -> list[ListedVersion]:
    rows = [row_of(key, number) for key, versions in keys for number in range(versions)]
    return sorted(rows, key=lambda row: row.ref.key.encode("utf-8"))


SMALL_KEYS = st.one_of(
    st.text(alphabet="ab/! ", max_size=6),
    st.text(alphabet="a\n\\é", max_size=5),
)


@given(
    keys=st.dictionaries(SMALL_KEYS, st.integers(1, 3), max_size=12),
    recorded=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=30),
    orphans=st.lists(SMALL_KEYS, max_size=5),
    strangers=st.lists(st.text(alphabet="ab/!", max_size=4), max_size=2),
    row_page=st.integers(1, 5),
    record_page=st.integers(1, 5),
    cut=st.sampled_from([1, 2, 3, naming.LEAF_STEM_MAX_BYTES]),
)
@example(  # a cut stem's record is listed before rows that share it with a far later key
    keys={"a": 1, "a\n": 1, "a b": 1, "a\\": 1, "aa": 1},
    recorded=[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)],
    orphans=[],
    strangers=[],
    row_page=1,
    record_page=1,
    cut=170,
)
def test_answers_as_a_whole_join_does(
    keys: dict[str, int],
    recorded: list[tuple[int, int]],
    orphans: list[str],
    strangers: list[str],
    row_page: int,
    record_page: int,
    cut: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # The real cut at 170 bytes would need keys that no shrinking gets through.
        patch.setattr(naming, "LEAF_STEM_MAX_BYTES", cut)
        rows = listed(keys.items())
        names = {name_of(key) for key in orphans} | {BASE + text for text in strangers}
        for at, number in recorded:
            if rows:
                names.add(name_of(rows[at % len(rows)].ref.key, number))
        in_order = sorted(names, key=str.encode)
        records = [name for name in in_order if naming.parse_record_key(name)]
        answers, _ = merged(rows, in_order, row_page, record_page)
        assert answers == joined(rows, records)


@given(st.data())
def test_says_of_each_version_whether_its_own_job_is_recorded(data: st.DataObject) -> None:
    keys = data.draw(st.dictionaries(SMALL_KEYS, st.integers(1, 3), min_size=1, max_size=10))
    rows = listed(keys.items())
    done = data.draw(st.sets(st.sampled_from(rows)))
    names = {name_of(row.ref.key, int(row.ref.version_id[1:])) for row in done}
    answers, _ = merged(rows, sorted(names, key=str.encode), 3, 2)
    for row, ids in answers:
        number = int(row.ref.version_id[1:])
        assert (job_id(f"{row.ref.key} {number}") in ids) == (row in done)


@pytest.mark.parametrize(
    "keys",
    [
        [f"{n:06d}.jpg" for n in range(5000)],
        ["photos/", *(f"photos/{n:06d}" for n in range(5000))],
        ["photos", *(f"photos-{n:06d}" for n in range(5000))],
        [f"日本/{n:06d}" for n in range(5000)],
    ],
    ids=["flat", "folder-object", "common-beginning", "not-ascii"],
)
def test_holds_about_a_page_of_records_however_long_the_listings(keys: list[str]) -> None:
    rows = listed((key, 1) for key in keys)
    names = sorted((name_of(key) for key in keys), key=str.encode)
    answers, most_held = merged(rows, names, 100, 100)
    assert all(len(ids) == 1 for _, ids in answers)
    assert len(answers) == len(keys)
    assert most_held <= 300


def test_forgets_records_whose_versions_were_deleted() -> None:
    rows = listed([("a", 1), ("z", 1)])
    names = sorted(name_of(f"m{n:05d}") for n in range(5000))
    answers, most_held = merged(rows, [*names, name_of("z")], 10, 100)
    assert [len(ids) for _, ids in answers] == [0, 1]
    assert most_held <= 101


def test_waits_for_records_until_they_are_past_the_row() -> None:
    merge = RecordMerge(".marea/", "uploads")
    assert not merge.needs_records()
    merge.add_rows([row_of("b")])
    assert merge.needs_records()
    merge.add_records([name_of("a"), name_of("b")], exhausted=False)
    assert merge.needs_records()  # another record of b may follow
    assert merge.ready() == []
    merge.add_records([name_of("c")], exhausted=False)
    assert not merge.needs_records()
    merge.add_rows([row_of("b", 1), row_of("d")])
    assert merge.needs_records()  # for d; both of b can be answered
    recorded = frozenset({job_id("b 0")})
    assert merge.ready() == [(row_of("b"), recorded), (row_of("b", 1), recorded)]
    assert merge.pending_rows == 1
    merge.add_records([], exhausted=True)
    assert merge.ready() == [(row_of("d"), frozenset())]
    assert not merge.needs_records()


def test_refuses_listings_that_are_out_of_order() -> None:
    merge = RecordMerge(".marea/", "uploads")
    merge.add_rows([row_of("b"), row_of("b", 1)])
    with pytest.raises(ValueError, match="'a' after 'b'"):
        merge.add_rows([row_of("a")])
    merge.add_records([name_of("b")], exhausted=False)
    with pytest.raises(ValueError, match="after"):
        merge.add_records([name_of("a")], exhausted=False)


def test_refuses_records_after_the_last_page() -> None:
    merge = RecordMerge(".marea/", "uploads")
    merge.add_records([], exhausted=True)
    with pytest.raises(ValueError, match="exhausted"):
        merge.add_records([name_of("a")], exhausted=True)
