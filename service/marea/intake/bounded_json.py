"""JSON from strangers: nesting is measured before anything is built.

`json.loads` recurses once per level, so a body of brackets is a crash (or a slow death) at
the interpreter's limit. The scan here is a handful of passes in C over the raw bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from marea.errors import MareaError

# An unclosed string matches up to the end of the body; otherwise the search would start
# again at each of its escaped quotes and be quadratic in the size of a hostile body.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")


class MalformedJson(MareaError):
    """The bytes are not JSON in UTF-8, or nest deeper than allowed."""

    code = "json-malformed"


def parse_json(body: bytes, *, max_depth: int) -> Any:
    """The value that `body` spells. Raises `MalformedJson`, and nothing else.

    `max_depth` counts open brackets: `[[1]]` has depth 2. A byte order mark is skipped.
    """
    if not body.strip():
        raise MalformedJson("the body is empty; JSON was expected")
    if is_deeper_than(body, max_depth):
        raise MalformedJson(
            f"the JSON nests more than {max_depth} levels deep, or leaves brackets open"
        )
    try:
        # Strictly UTF-8: json.loads would guess UTF-16 and UTF-32 too, in which the scan above
        # reads other quotes and brackets than the parser.
        return json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        raise MalformedJson(f"the body is not UTF-8: byte {exc.start} is wrong") from exc
    except (ValueError, RecursionError) as exc:  # ValueError: also numbers of 4,300 digits
        raise MalformedJson(f"the body is not JSON: {exc}") from exc


def is_deeper_than(body: bytes, max_depth: int) -> bool:
    """Whether brackets outside of strings nest deeper than `max_depth`, or stay open."""
    brackets = _STRING.sub(b"", body).translate(None, _ALL_BUT_BRACKETS).translate(_AS_SQUARE)
    for _ in range(max_depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")  # one level less everywhere
    return b"[" in brackets
