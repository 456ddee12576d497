"""Names of records and intents in the results bucket. Pure.

A record's name begins with a *stem*: the longest prefix of the source key that is a safe name
on every store. Because it is a prefix, records list in (nearly) the order of their sources, and
a sweep can compare the two listings as streams (`merge.py`). Because the job id is in the
name, two jobs never share a record, whatever their keys have in common.

    .marea/records/<bucket>/<stem>!<pipeline>.<job id>
    .marea/intents/<job id>
    .marea/probe
    .marea/loadtest/<scenario>-<time>/<file>

`!` is the lowest printable character that every store takes, so the records of `photos` come
before those of `photos-2024` and of `photos/…`, as the uploads do; with `@` the records of
`photos` would come after a million of `photos/2024…`, and a sweep would hold them all.
"""

from __future__ import annotations

import re

SEPARATOR = "!"

STEM_MAX_BYTES = 700
"""Of the 1,000; the rest is for the reserved prefix, the bucket and the leaf's suffix."""

LEAF_STEM_MAX_BYTES = 170
"""Of a stem's last segment: with the suffix (74) it stays under SEGMENT_MAX_BYTES."""

SEGMENT_MAX_BYTES = 250
"""Of what stands between two slashes. Stores on a file system refuse 256 (MinIO does)."""

RECORD_KEY_MAX_BYTES = 1000
"""Of a record's whole name. The S3 API takes 1,024; some gateways add a few of their own."""

_SUFFIX_MAX_BYTES = len(SEPARATOR) + 40 + 1 + 32
"""A pipeline's name is at most 40 characters, a job id has 32."""

_PIPELINE = re.compile(r"[a-z0-9-]{1,40}")
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_SUFFIX = re.compile(rf"{SEPARATOR}({_PIPELINE.pattern})\.({_JOB_ID.pattern})\Z")

_NONCHARACTERS = "".join(
    chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF)
)
_UNSAFE_CHARACTER = re.compile(
    # Controls are not XML, which listings are made of; the backslash is a slash to some
    # stores; surrogates are not UTF-8; noncharacters are refused by some.
    "[\x00-\x1f\x7f-\x9f\\\\\ud800-\udfff\ufdd0-\ufdef" + _NONCHARACTERS + "]"
)

_MINIO_FOLDERS = frozenset({"xl.meta", ".minio.sys"})
"""Names of MinIO's own files; it refuses or hides keys that have them as a folder."""

_MINIO_FOLDER_SUFFIX = "__XLDIR__"
"""How MinIO spells a key's trailing slash on disk; as a folder it would be listed otherwise."""


def record_key(reserved_prefix: str, bucket: str, key: str, pipeline: str, job_id: str) -> str:
    """The name of a job's record, at most 1,000 bytes for a reserved prefix of up to 150.

    Raises ValueError for a pipeline or job id that `parse_record_key` could not read back.
    """
    if not _PIPELINE.fullmatch(pipeline) or not _JOB_ID.fullmatch(job_id):
        raise ValueError(f"not a pipeline and a job id: {pipeline!r}, {job_id!r}")
    base = records_prefix(reserved_prefix, bucket)
    return f"{base}{record_stem(base, key)}{SEPARATOR}{pipeline}.{job_id}"


def records_prefix(reserved_prefix: str, bucket: str) -> str:
    """What the names of all records of a source bucket begin with."""
    return f"{reserved_prefix}records/{bucket}/"


def parse_record_key(name: str) -> tuple[str, str] | None:
    """Pipeline and job id of a record's name; None if it is not one."""
    match = _SUFFIX.search(name)
    return (match[1], match[2]) if match else None


def stem_of_record(base: str, name: str) -> str | None:
    """The stem in a record's name under `base` (`records_prefix`); None if it is not one."""
    match = _SUFFIX.search(name)
    return name[len(base) : match.start()] if match and name.startswith(base) else None


def intent_key(reserved_prefix: str, job_id: str) -> str:
    """The name of a job's intent (design section 1). Raises ValueError if it is no job id."""
    if not _JOB_ID.fullmatch(job_id):
        raise ValueError(f"not a job id: {job_id!r}")
    return f"{intents_prefix(reserved_prefix)}{job_id}"


def intents_prefix(reserved_prefix: str) -> str:
    """What the names of all intents begin with."""
    return f"{reserved_prefix}intents/"


def load_reports_prefix(reserved_prefix: str) -> str:
    """Where load runs in a cluster leave their reports. The platform itself never looks there."""
    return f"{reserved_prefix}loadtest/"


def probe_key(reserved_prefix: str) -> str:
    """The object that shows whether the store honours conditional PUT."""
    return f"{reserved_prefix}probe"


def record_stem(base: str, key: str) -> str:
    """The longest prefix of `key` that is safe as the beginning of a record's name.

    Folders of the key are kept while each is a safe folder name; what follows the last safe
    one is cut to a safe leaf. `base` only bounds the length.
    """
    room_bytes = min(
        STEM_MAX_BYTES,
        max(0, RECORD_KEY_MAX_BYTES - _SUFFIX_MAX_BYTES - len(base.encode())),
    )
    taken = 0  # characters of the key that are safe folders, slashes included
    while (slash := key.find("/", taken)) >= 0:
        folder = key[taken:slash]
        size_bytes = len(folder.encode("utf-8", "surrogatepass")) + 1
        if size_bytes > room_bytes or not _is_safe_folder(folder):
            break
        room_bytes -= size_bytes
        taken = slash + 1
    leaf = key[taken:] if slash < 0 else key[taken:slash]
    return key[:taken] + _safe_leaf(leaf, min(room_bytes, LEAF_STEM_MAX_BYTES))


def _is_safe_folder(folder: str) -> bool:
    return (
        # Some stores trim spaces before they look for `.` and `..`.
        folder.strip() not in ("", ".", "..")
        and len(folder.encode("utf-8", "surrogatepass")) <= SEGMENT_MAX_BYTES
        and not _UNSAFE_CHARACTER.search(folder)
        and folder not in _MINIO_FOLDERS
        and not folder.endswith(_MINIO_FOLDER_SUFFIX)
        # A key that spells another job's record as a folder would lie below that record, and
        # MinIO does not list what lies below an object.
        and not _SUFFIX.search(folder)
    )


def _safe_leaf(leaf: str, max_bytes: int) -> str:
    unsafe = _UNSAFE_CHARACTER.search(leaf)
    if unsafe:
        leaf = leaf[: unsafe.start()]
    # "ignore" drops the bytes of a character that the limit cuts in two.
    return leaf.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
