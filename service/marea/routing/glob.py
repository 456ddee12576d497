"""Patterns as in bucket policies: `*` is any run of characters, `/` included, `?` is one.

Also `[abc]`, `[a-z]`, `[!abc]`; a literal bracket is `[[]`. Matching is linear per star: keys
come from strangers, and 1,024 characters against `*a*a*a*` must not take minutes.
"""

from __future__ import annotations

import fnmatch
import re

_BRACKET = re.compile(r"\[!?\]?[^\]]*(?P<closed>\]?)")
_WILDCARD = re.compile(r"\*|\?|\[!?\]?[^\]]*\]")


def compile_glob(pattern: str) -> re.Pattern[str]:
    """A pattern to `match` whole strings with, case and newlines included.

    Raises ValueError with a sentence.
    """
    if not pattern:
        raise ValueError("is empty; write '*' for anything")
    for bracket in _BRACKET.finditer(pattern):
        if not bracket["closed"]:
            raise ValueError(f"{pattern!r} leaves a '[' open; write [[] for the character")
    translated = fnmatch.translate(pattern)
    if "(?!)" in translated:  # how fnmatch spells a class that no character is in
        raise ValueError(f"{pattern!r} has a range that runs backwards")
    return re.compile(translated)


def sample_of(pattern: str) -> str:
    """Some string that a valid pattern matches, for looking ahead at what rules can share."""
    return _WILDCARD.sub(_sample, pattern)


def _sample(wildcard: re.Match[str]) -> str:
    accepts = re.compile(fnmatch.translate(wildcard[0]))
    candidates = ("x", *wildcard[0], "y", "z", "0", "_")
    return next((letter for letter in candidates if accepts.match(letter)), "~")
