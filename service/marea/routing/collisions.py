"""Looks ahead for results that would overwrite each other (design rule 12).

Only what shows from names is seen here: rules are tried with keys made of their own
prefixes, suffixes and patterns. The rest is caught when it happens, as `result-key-taken`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from marea.errors import PermanentError
from marea.messages.objects import ObjectRef
from marea.pipelines.pipeline import Pipeline
from marea.routing.glob import sample_of
from marea.routing.route import UploadFacts
from marea.routing.rule import Rule

_TYPICAL_SUFFIXES = (".jpg", ".png", ".csv")
"""For rules that name no suffix."""


def colliding_pipelines(
    rules: Sequence[Rule],
    pipelines: Mapping[str, Pipeline],
    source_buckets: Collection[str],
    *,
    is_every_match: bool,
) -> list[str]:
    """Two pipelines that one upload can go through and that write one key, as sentences.

    Under `match: first` only the pipelines of one rule can meet.
    """
    found: dict[tuple[str, str], str] = {}
    groups = [(rule, rule) for rule in rules]
    if is_every_match:
        groups += itertools.combinations(rules, 2)
    for one, other in groups:
        for first, second in _pairs(one, other):
            if (first, second) in found:
                continue
            for probe in _probes((one, other), source_buckets):
                shared = _result_keys(pipelines[first], probe) & _result_keys(
                    pipelines[second], probe
                )
                if shared:
                    label = one.label if one is other else f"{one.label} and {other.label}"
                    found[first, second] = found[second, first] = (
                        f"{label}: pipelines {first!r} and {second!r} both write"
                        f" {min(shared)!r} for an upload {probe!r}; give one another `result`"
                        " template"
                    )
                    break
    return list(dict.fromkeys(found.values()))


def colliding_suffixes(rules: Sequence[Rule], pipelines: Mapping[str, Pipeline]) -> list[str]:
    """A pipeline that makes one result of `photo.jpg` and `photo.png`, as sentences."""
    found: list[str] = []
    for rule in rules:
        suffixes = [
            value for each in rule.conditions if each.kind == "suffix" for value in each.values
        ]
        for name in rule.pools:
            for one, other in itertools.combinations([f"photo{each}" for each in suffixes], 2):
                shared = _result_keys(pipelines[name], one) & _result_keys(pipelines[name], other)
                if shared and one.lower() != other.lower():
                    found.append(
                        f"{rule.label}: pipeline {name!r} makes {min(shared)!r} of both {one!r}"
                        f" and {other!r}; the second upload will be rejected"
                        " (result-key-taken) unless the `result` template has {source_ext}"
                    )
                    break
    return found


def _pairs(one: Rule, other: Rule) -> Iterator[tuple[str, str]]:
    if one is other:
        yield from itertools.combinations(one.pools, 2)
        return
    for first, second in itertools.product(one.pools, other.pools):
        if first != second:
            yield first, second


def _probes(rules: Iterable[Rule], source_buckets: Collection[str]) -> Iterator[str]:
    """Keys that all of `rules` admit by name, in one bucket."""
    values: dict[str, list[str]] = {"prefix": [""], "suffix": [], "key": []}
    rules = tuple(rules)
    for rule in rules:
        for condition in rule.conditions:
            values.get(condition.kind, []).extend(condition.values)
    suffixes = values["suffix"] or list(_TYPICAL_SUFFIXES)
    middles = [sample_of(pattern) for pattern in values["key"]]
    keys = [f"{prefix}photo{suffix}" for prefix in values["prefix"] for suffix in suffixes]
    keys += middles
    keys += [f"{prefix}{middle}" for prefix in values["prefix"] for middle in middles]
    keys += [f"{middle}{suffix}" for middle in middles for suffix in suffixes]
    for key in dict.fromkeys(keys):
        for bucket in sorted(source_buckets):
            facts = UploadFacts(ObjectRef(bucket, key), uploaded_at=0.0)
            if all(rule.admits_key(facts) for rule in rules):
                yield key
                break


def _result_keys(pipeline: Pipeline, key: str) -> set[str]:
    try:
        return set(pipeline.result_keys(key))
    except PermanentError:  # the probe grew too long
        return set()
