"""One rule of the document, checked field by field into a `Rule`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import yaml

from marea.messages.job import PRIORITIES, Priority
from marea.pipelines.pipeline import Pipeline
from marea.routing import conditions
from marea.routing.conditions import Condition
from marea.routing.document import (
    Entry,
    Problems,
    entries_of,
    line_of,
    text_of,
    texts_of,
)
from marea.routing.rule import PREFIX_TENANT, Rule
from marea.routing.units import parse_duration_s, parse_size_bytes

RULE_FIELDS = ("name", "when", "pipelines", "pool", "priority", "delay", "tenant")
WHEN_FIELDS = ("bucket", "prefix", "suffix", "key", "content_type", "size", "metadata", "tags")

_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z")
_POOL_NAME = re.compile(r"[a-z0-9-]{1,40}\Z")
_RESERVED_POOL = (
    "quarantine"  # queues.names.QUARANTINE_POOL, which this pure package may not import
)
_TENANT = re.compile(r"[^{}\x00-\x1f]{1,200}\Z")

_LISTED: Mapping[str, Callable[[tuple[str, ...]], Condition]] = {
    "prefix": conditions.prefix_is,
    "suffix": conditions.suffix_is,
    "key": conditions.key_matches,
    "content_type": conditions.content_type_matches,
}
_NAMED: Mapping[str, Callable[[str, str], Condition]] = {
    "metadata": conditions.metadata_matches,
    "tags": conditions.tag_matches,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule is checked against."""

    pipelines: Mapping[str, Pipeline]
    source_buckets: Collection[str]
    lines_by_name: dict[str, int] = field(default_factory=dict)
    """The rules read so far, broken ones included."""


def read_rule(
    node: yaml.Node, number: int, around: Surroundings, problems: Problems
) -> Rule | None:
    """The `number`-th rule (from 1); None if it added to `problems`."""
    before = len(problems.sentences)
    line = line_of(node)
    problems = problems.at(f"rule {number} (line {line})")
    entries = entries_of(node, "it", RULE_FIELDS, problems)
    if not entries:
        return None
    name = _name(entries.get("name"), number, problems)
    problems = problems.at(f"rule {number} {name[:60]!r} (line {line})")
    taken_at = around.lines_by_name.setdefault(name, line)
    if taken_at != line:
        problems.add(f"the name is taken by the rule at line {taken_at}; choose another")
    rule = Rule(
        name=name,
        line=line,
        conditions=_conditions(entries.get("when"), around.source_buckets, problems),
        pools=_pools(entries, around.pipelines, problems),
        priority=_priority(entries.get("priority"), problems),
        delay_s=_quantity(entries.get("delay"), parse_duration_s, problems) or 0.0,
        tenant=_tenant(entries.get("tenant"), problems),
    )
    return rule if len(problems.sentences) == before else None


def _name(entry: Entry | None, number: int, problems: Problems) -> str:
    text = text_of(entry, problems) if entry else None
    if text and not _RULE_NAME.match(text):
        problems.add(f"name {text[:80]!r} must be 1 to 60 letters, digits, '.', '_' or '-'")
    return text or f"rule-{number}"


def _conditions(
    when: Entry | None, source_buckets: Collection[str], problems: Problems
) -> tuple[Condition, ...]:
    if when is None:
        return ()
    found: list[Condition] = []
    noun = f"when (line {when.line})"
    for entry in entries_of(when.node, noun, WHEN_FIELDS, problems).values():
        if entry.name == "size":
            found.extend(_size(entry, problems))
        elif entry.name in _NAMED:
            found.extend(_named(entry, problems))
        else:
            found.extend(_listed(entry, source_buckets, problems))
    # Name conditions first: they are cheap, and their "no" spares asking the store.
    return tuple(sorted(found, key=lambda condition: condition.fact is not None))


def _named(entry: Entry, problems: Problems) -> list[Condition]:
    found: list[Condition] = []
    noun = f"{entry.name} (line {entry.line})"
    for inner in entries_of(entry.node, noun, (), problems).values():
        pattern = text_of(inner, problems)
        if pattern:
            found.extend(_built(inner, partial(_NAMED[entry.name], inner.name, pattern), problems))
    return found


def _listed(entry: Entry, source_buckets: Collection[str], problems: Problems) -> list[Condition]:
    texts = texts_of(entry, problems)
    if not texts:
        return []
    if entry.name != "bucket":
        return _built(entry, partial(_LISTED[entry.name], texts), problems)
    for bucket in texts:
        if bucket not in source_buckets:
            problems.add(
                f"bucket {bucket!r} (line {entry.line}) is not a source bucket, so the rule can"
                f" never match; source buckets are {', '.join(sorted(source_buckets))}"
            )
    return [conditions.bucket_is(texts)]


def _built(entry: Entry, build: Callable[[], Condition], problems: Problems) -> list[Condition]:
    try:
        return [build()]
    except ValueError as exc:
        problems.add(f"bad pattern in {entry.name} (line {entry.line}): {exc}")
        return []


def _size(entry: Entry, problems: Problems) -> list[Condition]:
    ends = entries_of(entry.node, f"size (line {entry.line})", ("min", "max"), problems)
    least = _quantity(ends.get("min"), parse_size_bytes, problems)
    most = _quantity(ends.get("max"), parse_size_bytes, problems)
    if least is not None and most is not None and least > most:
        problems.add(f"size (line {entry.line}) has min above max: nothing would match")
    return [conditions.size_within(int(least or 0), None if most is None else int(most))]


def _quantity(
    entry: Entry | None, parse: Callable[[str], float], problems: Problems
) -> float | None:
    text = text_of(entry, problems) if entry else None
    if entry is None or text is None:
        return None
    try:
        return parse(text)
    except ValueError as exc:
        problems.add(f"{entry.name} (line {entry.line}): {exc}")
        return None


def _pools(
    entries: Mapping[str, Entry], pipelines: Mapping[str, Pipeline], problems: Problems
) -> Mapping[str, str]:
    """Pipeline → pool."""
    entry, pool_entry = entries.get("pipelines"), entries.get("pool")
    pool = text_of(pool_entry, problems) if pool_entry else None
    if pool is not None and not _POOL_NAME.match(pool):
        problems.add(f"pool {pool[:80]!r} must be 1 to 40 of a-z, 0-9 and '-'")
    if pool == _RESERVED_POOL:
        problems.add(f"pool {pool!r} is reserved for jobs that took a worker down; name another")
    if entry is None:
        problems.add("has no pipelines; list at least one")
        return {}
    pools: dict[str, str] = {}
    for name in texts_of(entry, problems):
        if name not in pipelines:
            known = ", ".join(sorted(pipelines)) or "none"
            problems.add(f"unknown pipeline {name[:80]!r} (line {entry.line}); known are {known}")
        elif name in pools:
            problems.add(f"pipeline {name!r} is listed twice (line {entry.line}); remove one")
        else:
            pools[name] = pool or pipelines[name].pool
    return pools


def _priority(entry: Entry | None, problems: Problems) -> Priority:
    text = text_of(entry, problems) if entry else None
    for priority in PRIORITIES:
        if text == priority:
            return priority
    if text is not None:
        problems.add(f"priority {text[:40]!r} must be one of {', '.join(PRIORITIES)}")
    return "normal"


def _tenant(entry: Entry | None, problems: Problems) -> str:
    text = text_of(entry, problems) if entry else None
    if text is None or text == PREFIX_TENANT:
        return PREFIX_TENANT
    if not _TENANT.match(text):
        problems.add(
            f"tenant {text[:80]!r} must be {PREFIX_TENANT} (the first path segment) or a name of"
            " 1 to 200 characters without braces"
        )
    return text
