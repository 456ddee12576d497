"""Compares the listing of a source bucket with the listing of its records, as streams. Pure.

Both listings are ordered by UTF-8 bytes (which is the order of Python's strings). A record of
key k is named base + stem(k) + "!…", and stem(k) is a prefix of k, so a row can be answered as
soon as the record listing is past everything that begins with base + stem(k) + "!".

    add_rows ──▶ pending rows ──(record listing is past them)──▶ ready, in the order of rows
    add_records ──▶ job ids by stem ──(no later row has the stem)──▶ forgotten

Records that no row asks for (their versions were deleted) are forgotten on the way. Held at
once: the pending rows, and the job ids of stems that the next row, or one after it, can have.
That is about one page of each, except where many keys share one stem because it was cut (a
million keys that begin with `/`): then the ids of that stem.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from marea.storage.naming import (
    SEPARATOR,
    parse_record_key,
    record_stem,
    records_prefix,
    stem_of_record,
)
from marea.storage.object_store import ListedVersion


class RecordMerge:
    """One sweep over one source bucket, from its first row on.

        while rows remain:
            merge.add_rows(next page of ListObjectVersions)
            while merge.needs_records():
                merge.add_records(next page of records_prefix(...), exhausted=…)
                for row, recorded in merge.ready(): …
            for row, recorded in merge.ready(): …

    After each round no row is pending. The record listing starts at its beginning even when
    the rows do not: cut stems are shorter than their keys.
    """

    def __init__(self, reserved_prefix: str, bucket: str) -> None:
        self.reserved_prefix = reserved_prefix
        self._base = records_prefix(reserved_prefix, bucket)
        self._pending: deque[tuple[ListedVersion, str]] = deque()
        self._last_key = ""
        self._last_record = ""
        self._exhausted = False
        self._growing: dict[str, set[str]] = {}
        """Job ids by stem while the record listing may still add to them."""
        self._complete: dict[str, frozenset[str]] = {}
        """Job ids by stem once a row has been answered with them."""
        self._ahead: list[str] = []
        """Heap of the held stems that are not below the next row's key."""
        self._open: list[str] = []
        """The held stems that are proper prefixes of the next row's key."""

    @property
    def pending_rows(self) -> int:
        """Rows added and not yet returned by `ready`."""
        return len(self._pending)

    @property
    def held_ids(self) -> int:
        """Job ids held in memory."""
        held = (*self._growing.values(), *self._complete.values())
        return sum(len(ids) for ids in held)

    def add_rows(self, rows: Iterable[ListedVersion]) -> None:
        """Rows in listing order, delete markers included or not. ValueError if out of order."""
        for row in rows:
            if row.ref.key < self._last_key:
                raise ValueError(
                    f"the store listed {row.ref.key!r} after {self._last_key!r}: a sweep needs"
                    " listings in the order of UTF-8 bytes"
                )
            self._last_key = row.ref.key
            self._pending.append((row, record_stem(self._base, row.ref.key)))
        self._forget()

    def add_records(self, names: Iterable[str], *, exhausted: bool) -> None:
        """Names of records in listing order; `exhausted` with the last page.

        Names that are not records' are ignored. ValueError if out of order.
        """
        if self._exhausted:
            raise ValueError("the record listing was said to be exhausted")
        floor = self._floor
        for name in names:
            if name < self._last_record:
                raise ValueError(
                    f"the store listed {name!r} after {self._last_record!r}: a sweep needs"
                    " listings in the order of UTF-8 bytes"
                )
            self._last_record = name
            stem = stem_of_record(self._base, name)
            parsed = parse_record_key(name)
            if stem is None or parsed is None:
                continue
            if stem < floor and not floor.startswith(stem):
                continue  # no row to come has it
            if stem not in self._growing:
                self._growing[stem] = set()
                heapq.heappush(self._ahead, stem)
            self._growing[stem].add(parsed[1])
        self._exhausted = exhausted

    def needs_records(self) -> bool:
        """Whether some pending row cannot be answered until more records are added."""
        # The last row is the likeliest to be ahead of the records.
        return any(not self._is_passed(stem) for _, stem in reversed(self._pending))

    def ready(self) -> list[tuple[ListedVersion, frozenset[str]]]:
        """The rows that can be answered, in order, each with the job ids recorded for its stem.

        Where keys share a stem the ids of all of them: look for the one you mean.
        """
        answered: list[tuple[ListedVersion, frozenset[str]]] = []
        while self._pending and self._is_passed(self._pending[0][1]):
            row, stem = self._pending.popleft()
            if stem in self._growing:
                self._complete[stem] = frozenset(self._growing.pop(stem))
            answered.append((row, self._complete.get(stem, frozenset())))
        self._forget()
        return answered

    @property
    def _floor(self) -> str:
        """No row that is still to be answered has a smaller key."""
        return self._pending[0][0].ref.key if self._pending else self._last_key

    def _is_passed(self, stem: str) -> bool:
        if self._exhausted:
            return True
        prefix = self._base + stem + SEPARATOR
        return self._last_record > prefix and not self._last_record.startswith(prefix)

    def _forget(self) -> None:
        floor = self._floor
        while self._ahead and self._ahead[0] < floor:
            self._open.append(heapq.heappop(self._ahead))
        still_open = []
        for stem in self._open:
            if floor.startswith(stem):
                still_open.append(stem)
            else:
                self._growing.pop(stem, None)
                self._complete.pop(stem, None)
        self._open = still_open
