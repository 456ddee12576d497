"""The YAML of a rule table, read with line numbers. Structure only, no meaning.

`yaml.compose` instead of `safe_load`: every problem names its line, a field given twice is
seen (a loader silently takes the last), and a scalar is the text that was written (`1e3`,
`no` and `2026-01-01` are file names too).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field

import yaml

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Entry:
    """`name: value` at `line` (from 1)."""

    name: str
    line: int
    node: yaml.Node


@dataclass(slots=True)
class Problems:
    """Collects sentences, each opened by where it applies."""

    where: str
    sentences: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        self.sentences.append(f"{self.where}: {sentence}")

    def at(self, where: str) -> Problems:
        """The same collection, from another place."""
        return Problems(where, self.sentences)


def compose(text: str, problems: Problems) -> yaml.Node | None:
    """The document's root; None with a problem if it has none."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as exc:
        problems.add(f"is not YAML: {' '.join(str(exc).split())}")
        return None
    if root is None:
        problems.add("is empty; leave the setting out for the built-in rules")
    return root


def line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def entries_of(
    node: yaml.Node, noun: str, known: Collection[str], problems: Problems
) -> dict[str, Entry]:
    """The entries of a mapping that must not be empty; no `known` = any names.

    Unknown and repeated names are problems and left out.
    """
    if not isinstance(node, yaml.MappingNode) or not node.value:
        problems.add(f"{noun} must be a mapping with {', '.join(known) or 'a pattern per name'}")
        return {}
    entries: dict[str, Entry] = {}
    for name_node, value in node.value:
        entry = Entry(str(name_node.value), line_of(name_node), value)
        if not isinstance(name_node, yaml.ScalarNode) or (known and entry.name not in known):
            problems.add(
                f"unknown field {entry.name[:60]!r} (line {entry.line}); {_hint(entry, known)}"
            )
        elif entry.name in entries:
            problems.add(
                f"field {entry.name!r} is given twice (lines {entries[entry.name].line} and"
                f" {entry.line}); remove one"
            )
        else:
            entries[entry.name] = entry
    return entries


def items_of(entry: Entry, problems: Problems) -> list[yaml.Node]:
    """The items of a list that must not be empty."""
    if not isinstance(entry.node, yaml.SequenceNode) or not entry.node.value:
        problems.add(f"{entry.name} (line {entry.line}) must be a list of at least one entry")
        return []
    return list(entry.node.value)


def text_of(entry: Entry, problems: Problems) -> str | None:
    """A scalar as it was written; None with a problem if it is none, or is empty."""
    text = _scalar(entry.node)
    if not text:
        problems.add(f"{entry.name} (line {entry.line}) must be a text; it is missing or a list")
        return None
    return text


def texts_of(entry: Entry, problems: Problems) -> tuple[str, ...]:
    """One scalar, or a list of them; () with a problem if any is missing."""
    nodes = entry.node.value if isinstance(entry.node, yaml.SequenceNode) else [entry.node]
    texts = [_scalar(node) for node in nodes]
    if not texts or not all(texts):
        problems.add(
            f"{entry.name} (line {entry.line}) must be a text or a list of texts, none empty"
        )
        return ()
    return tuple(text for text in texts if text)


def _scalar(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL:
        return None
    return str(node.value)


def _hint(entry: Entry, known: Collection[str]) -> str:
    close = difflib.get_close_matches(entry.name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
