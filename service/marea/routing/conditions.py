"""What a rule may ask of an upload, each answered yes, no, or not known yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from marea.routing.glob import compile_glob
from marea.routing.route import Fact, UploadFacts

KEY_KINDS = frozenset({"bucket", "prefix", "suffix", "key"})
"""Conditions that an object's name alone decides."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One line under `when`. `test` returns None while `fact` is unknown."""

    kind: str
    expected: str
    """As the rule writes it, for explanations."""
    test: Callable[[UploadFacts], bool | None] = field(compare=False)
    fact: Fact | None = None
    values: tuple[str, ...] = ()
    """What the rule lists: prefixes, suffixes, patterns."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.expected}"


def bucket_is(names: tuple[str, ...]) -> Condition:
    return Condition("bucket", _listed(names), lambda facts: facts.ref.bucket in names)


def prefix_is(prefixes: tuple[str, ...]) -> Condition:
    return Condition(
        "prefix",
        _listed(prefixes),
        lambda facts: facts.ref.key.startswith(prefixes),
        values=prefixes,
    )


def suffix_is(suffixes: tuple[str, ...]) -> Condition:
    """Upper and lower case alike: cameras write `.JPG`."""
    lowered = tuple(suffix.lower() for suffix in suffixes)
    return Condition(
        "suffix",
        _listed(suffixes),
        lambda facts: facts.ref.key.lower().endswith(lowered),
        values=suffixes,
    )


def key_matches(patterns: tuple[str, ...]) -> Condition:
    """Any of the globs, whole key, case-sensitive. Raises ValueError."""
    globs = [compile_glob(pattern) for pattern in patterns]
    return Condition(
        "key",
        _listed(patterns),
        lambda facts: any(glob.match(facts.ref.key) for glob in globs),
        values=patterns,
    )


def content_type_matches(patterns: tuple[str, ...]) -> Condition:
    """Any of the globs on the media type, without parameters, in lower case."""
    globs = [compile_glob(pattern.lower()) for pattern in patterns]

    def test(facts: UploadFacts) -> bool | None:
        if facts.content_type is None:
            return None
        media_type = facts.content_type.split(";", 1)[0].strip().lower()
        return any(glob.match(media_type) for glob in globs)

    return Condition("content_type", _listed(patterns), test, "content_type")


def size_within(min_bytes: int, max_bytes: int | None) -> Condition:
    """Both ends included."""
    end = "" if max_bytes is None else f" to {max_bytes:,}"
    return Condition(
        "size",
        f"{min_bytes:,}{end or ' or more'} bytes",
        lambda facts: (
            min_bytes <= facts.ref.size_bytes
            and (max_bytes is None or facts.ref.size_bytes <= max_bytes)
        ),
    )


def metadata_matches(name: str, pattern: str) -> Condition:
    """User metadata, its name in any case; `*` = present."""
    test = _named_test(name.lower(), pattern, lambda facts: facts.user_metadata)
    return Condition("metadata", f"{name} = {pattern}", test, "user_metadata")


def tag_matches(name: str, pattern: str) -> Condition:
    """An object tag; tags are case-sensitive. `*` = present."""
    return Condition(
        "tags", f"{name} = {pattern}", _named_test(name, pattern, lambda facts: facts.tags), "tags"
    )


def _named_test(
    name: str, pattern: str, read: Callable[[UploadFacts], Mapping[str, str] | None]
) -> Callable[[UploadFacts], bool | None]:
    glob = compile_glob(pattern)

    def test(facts: UploadFacts) -> bool | None:
        named = read(facts)
        if named is None:
            return None
        return name in named and bool(glob.match(named[name]))

    return test


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values)
