"""From the text of a rules file to a `RouteTable`, or to all of its problems at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from marea.errors import ConfigError
from marea.pipelines.pipeline import Pipeline
from marea.routing.collisions import colliding_pipelines, colliding_suffixes
from marea.routing.document import Entry, Problems, compose, entries_of, items_of, text_of
from marea.routing.route_table import Explanation, Match, RouteTable, RuleVerdict
from marea.routing.rule import Rule
from marea.routing.rule_fields import Surroundings, read_rule

__all__ = ["BUILTIN_RULES", "Explanation", "RouteTable", "RuleVerdict", "load_rules"]

BUILTIN_RULES = """\
match: first
rules:
  - name: images
    when:
      suffix: [.jpg, .jpeg, .png, .webp, .gif, .avif, .tif, .tiff, .bmp]
    pipelines: [grayscale]
  - name: tables
    when:
      suffix: [.csv]
    pipelines: [summary]
"""

_MATCHES: tuple[Match, ...] = ("first", "all")


def load_rules(
    text: str | None,
    pipelines: Mapping[str, Pipeline],
    *,
    source_buckets: Collection[str],
    results_bucket: str,
    reserved_prefix: str,
) -> RouteTable:
    """The table that `text` (YAML) describes; None = the built-in rules.

    Raises `ConfigError` with every problem, each naming its rule and line.
    """
    problems = Problems("rules")
    root = compose(BUILTIN_RULES if text is None else text, problems)
    entries = (
        entries_of(root, "the document", ("match", "rules"), problems) if root is not None else {}
    )
    match = _match(entries.get("match"), problems)
    rules = _rules(entries.get("rules"), Surroundings(pipelines, source_buckets), problems)
    if entries and "rules" not in entries:
        problems.add("there is no list `rules`; without rules every upload is left alone")
    if not problems.sentences:
        problems.sentences.extend(
            colliding_pipelines(rules, pipelines, source_buckets, is_every_match=match == "all")
        )
    if problems.sentences:
        raise ConfigError(problems.sentences)
    return RouteTable(
        rules=tuple(rules),
        match=match,
        source_buckets=frozenset(source_buckets),
        results_bucket=results_bucket,
        reserved_prefix=reserved_prefix,
        warnings=tuple(colliding_suffixes(rules, pipelines)),
    )


def _match(entry: Entry | None, problems: Problems) -> Match:
    text = text_of(entry, problems) if entry else None
    for match in _MATCHES:
        if text == match:
            return match
    if text is not None:
        problems.add(f"match {text[:40]!r} must be 'first' (the default) or 'all'")
    return "first"


def _rules(entry: Entry | None, around: Surroundings, problems: Problems) -> list[Rule]:
    if entry is None:
        return []
    read = [
        read_rule(node, number, around, problems)
        for number, node in enumerate(items_of(entry, problems), start=1)
    ]
    return [rule for rule in read if rule is not None]
