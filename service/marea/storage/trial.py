"""One upload, watched from outside until it has ended. What `marea store try` does.

Knows the store alone: neither broker nor ledger is asked, and no rules are read, so it says what a
user of the buckets would see.
"""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from marea.clock import Clock
from marea.errors import MareaError, PreconditionFailed, StoreUnavailable
from marea.messages.objects import ObjectRef
from marea.messages.record import Record
from marea.settings import StoreSettings
from marea.storage.naming import parse_record_key, record_stem, records_prefix
from marea.storage.object_store import IF_ABSENT, ObjectStore

POLL_S = 0.2
"""Between two looks; also how exactly the time is told."""
OTHERS_S = 2.0
"""For the records of the upload's other pipelines, which nobody here knows; arbitrary."""
SIDE_PX = 48


class TrialFailed(MareaError):
    """The upload did not end, or not well; the sentence says where to look."""

    code = "trial-failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went."""

    ref: ObjectRef
    records: tuple[Record, ...]
    first_s: float
    """From the end of the upload to the first record seen."""

    @property
    def is_well(self) -> bool:
        return all(record.state == "done" for record in self.records)


def try_upload(
    store: ObjectStore,
    settings: StoreSettings,
    clock: Clock,
    *,
    bucket: str,
    prefix: str,
    timeout_s: float,
    say: Callable[[str], None],
) -> Trial:
    """Upload a small picture to `bucket` and wait for its records.

    Raises `TrialFailed` when none came within `timeout_s`, the store's own trouble included.
    """
    deadline = clock.now() + timeout_s
    key = f"{prefix}{secrets.token_hex(8)}.png"
    ref = _upload(store, clock, bucket, key, deadline, say)
    uploaded_at = clock.now()
    say(f"uploaded {bucket}/{key}; waiting for its record")
    seen: dict[str, Record] = {}
    first_at = 0.0
    while not seen or clock.now() < first_at + OTHERS_S:
        trouble = ""
        try:
            seen |= _new_records(store, settings, bucket, key, seen)
        except StoreUnavailable as exc:
            trouble = f" The store's last answer: {exc}"
        first_at = first_at or (clock.now() if seen else 0.0)
        if not seen and clock.now() >= deadline:
            raise TrialFailed(_nothing_came(bucket, key, timeout_s) + trouble)
        clock.sleep(POLL_S)
    records = tuple(sorted(seen.values(), key=lambda record: record.pipeline))
    return Trial(ref, records, first_at - uploaded_at)


def small_picture() -> bytes:
    """A PNG in one colour, which is another each time: so its content is new too."""
    colour = secrets.token_bytes(3)
    rows = (b"\0" + colour * SIDE_PX) * SIDE_PX
    header = struct.pack(">IIBBBBB", SIDE_PX, SIDE_PX, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _upload(
    store: ObjectStore,
    clock: Clock,
    bucket: str,
    key: str,
    deadline: float,
    say: Callable[[str], None],
) -> ObjectRef:
    picture, told = small_picture(), ""
    while True:
        try:
            return store.put(bucket, key, picture, content_type="image/png", condition=IF_ABSENT)
        except PreconditionFailed:
            # The key is nobody else's: an earlier try was written, and its reply was lost.
            return ObjectRef(bucket, key)
        except StoreUnavailable as exc:
            # Right after an installation the bucket or the user may not be made yet.
            if clock.now() >= deadline:
                raise TrialFailed(f"The upload itself failed: {exc}") from exc
            if str(exc) != told:
                told = str(exc)
                say(f"waiting for the object store: {told}")
        clock.sleep(1.0)


def _new_records(
    store: ObjectStore, settings: StoreSettings, bucket: str, key: str, seen: dict[str, Record]
) -> dict[str, Record]:
    """The records of `key` that are not in `seen`, by their names."""
    base = records_prefix(settings.reserved_prefix, bucket)
    page = store.list_objects(settings.results_bucket, prefix=f"{base}{record_stem(base, key)}")
    found = {}
    for row in page.rows:
        if row.key not in seen and parse_record_key(row.key) is not None:
            head = store.head(settings.results_bucket, row.key)
            if head is not None:
                found[row.key] = Record.from_json(store.get(head.ref).data)
    return found


def _nothing_came(bucket: str, key: str, timeout_s: float) -> str:
    return (
        f"No record of {bucket}/{key} within {timeout_s:g} s. Look at: `marea status` (do workers"
        " run, do queues grow?), the gateway's log (did the store's event arrive?),"
        f" `marea store check` (do events go anywhere?), `marea route test {key}` (does a rule take"
        " it?). Without events a sweep finds it within MAREA_RECONCILER__SWEEP_INTERVAL_S: a"
        " larger --timeout waits for that."
    )
