"""What every store takes as a key or as metadata, checked before it is asked.

Pure, and the same for all adapters: a name that only one store refuses would make results
depend on where Marea runs. What a single store refuses besides is told by its adapter, with
the same code.
"""

from __future__ import annotations

from collections.abc import Mapping

from marea.errors import PermanentError

KEY_NOT_ACCEPTED = "key-not-accepted"
METADATA_NOT_ACCEPTED = "metadata-not-accepted"
FILE_TOO_LARGE = "file-too-large"

KEY_MAX_BYTES = 1024
"""The S3 API's limit on a key, in UTF-8."""

METADATA_MAX_BYTES = 2048
"""The S3 API's limit on the sum of names and values of user metadata."""

PAGE_MAX_ROWS = 1000
"""The S3 API's largest page; asked for more, stores silently answer this many."""


def require_key(key: str) -> None:
    """Raise `PermanentError(key-not-accepted)` for a key that no store can hold."""
    try:
        size_bytes = len(key.encode("utf-8"))
    except UnicodeEncodeError as exc:
        raise PermanentError(
            f"The key {key!r} is not valid UTF-8, which every store asks for; upload it under"
            " another name.",
            code=KEY_NOT_ACCEPTED,
        ) from exc
    if not 1 <= size_bytes <= KEY_MAX_BYTES:
        raise PermanentError(
            f"The key {key[:60]!r}… is {size_bytes} bytes long; stores take 1 to {KEY_MAX_BYTES}."
            " Use a shorter name.",
            code=KEY_NOT_ACCEPTED,
        )


def require_metadata(metadata: Mapping[str, str]) -> None:
    """Raise `PermanentError(metadata-not-accepted)` for what does not fit in HTTP headers."""
    size_bytes = 0
    for name, value in metadata.items():
        size_bytes += len(name) + len(value)
        if not (name.isascii() and value.isascii() and (name + value).isprintable()):
            raise PermanentError(
                f"The metadata {name!r} is not printable ASCII, the only text that stores keep"
                " alike; encode the value first.",
                code=METADATA_NOT_ACCEPTED,
            )
    if size_bytes > METADATA_MAX_BYTES:
        raise PermanentError(
            f"The metadata is {size_bytes} bytes long; stores take {METADATA_MAX_BYTES}.",
            code=METADATA_NOT_ACCEPTED,
        )


def require_page_limit(limit: int) -> None:
    """Raise ValueError unless 1 <= limit <= 1000."""
    if not 1 <= limit <= PAGE_MAX_ROWS:
        raise ValueError(f"a page has 1 to {PAGE_MAX_ROWS} rows, not {limit}")


def file_too_large(bucket: str, key: str, max_bytes: int) -> PermanentError:
    """The refusal of an object above the caller's limit, the same from every adapter."""
    return PermanentError(
        f"{bucket}/{key} is larger than the limit of {max_bytes} bytes; upload a smaller file"
        " or raise the limit of its pipeline.",
        code=FILE_TOO_LARGE,
    )
