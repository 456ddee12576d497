"""Whatever the rules: plans repeat, and knowing more only ever narrows them."""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from marea.messages.objects import ObjectRef
from marea.pipelines.catalog import load_catalog
from marea.routing.route import Fact, Plan, UploadFacts
from marea.routing.table import RouteTable, load_rules

CATALOG = load_catalog(entry_points=())

KEYS = st.sampled_from(("a/x.jpg", "a/b/x.png", "b/x.csv", "x.JPG", "a/", "plain"))
TYPES = st.sampled_from(("image/png", "image/jpeg", "text/csv", ""))
NAMED = st.dictionaries(st.sampled_from(("k", "l")), st.sampled_from(("x", "y")), max_size=2)

WHENS = st.fixed_dictionaries(
    {},
    optional={
        "prefix": st.sampled_from(("a/", "b/", "a/b/")),
        "suffix": st.sampled_from((".jpg", ".png", ".csv")),
        "key": st.sampled_from(("*", "a/*", "*.csv")),
        "content_type": st.sampled_from(("image/*", "text/csv", "*")),
        "size": st.sampled_from(({"min": 10}, {"max": "1 KB"})),
        "metadata": st.sampled_from(({"k": "*"}, {"K": "x"}, {"k": "x", "l": "y"})),
        "tags": st.sampled_from(({"k": "*"}, {"l": "y"})),
    },
)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "pipelines": st.lists(
                st.sampled_from(("grayscale", "thumbnail", "square", "summary")),
                min_size=1,
                max_size=2,
                unique=True,
            )
        },
        optional={
            "when": WHENS.filter(bool),
            "priority": st.sampled_from(("high", "normal")),
            "pool": st.sampled_from(("images", "big")),
            "delay": st.sampled_from(("10m", 5)),
        },
    ),
    min_size=1,
    max_size=5,
)


def build(rules: list[dict[str, Any]], match: str) -> RouteTable:
    return load_rules(
        yaml.safe_dump({"match": match, "rules": rules}),
        CATALOG,
        source_buckets=("uploads",),
        results_bucket="results",
        reserved_prefix=".marea/",
    )


TABLES = st.builds(build, RULES, st.sampled_from(("first", "all")))
FULL_FACTS = st.builds(
    lambda key, size_bytes, content_type, metadata, tags: UploadFacts(
        ObjectRef("uploads", key, "v1", "e", size_bytes), 1000.0, content_type, metadata, tags
    ),
    KEYS,
    st.sampled_from((0, 5, 500, 5000)),
    TYPES,
    NAMED,
    NAMED,
)
FACTS: tuple[Fact, ...] = ("content_type", "user_metadata", "tags")
HIDDEN = st.sets(st.sampled_from(FACTS))


def hide(facts: UploadFacts, hidden: set[Fact]) -> UploadFacts:
    return dataclasses.replace(facts, **dict.fromkeys(hidden))


@settings(deadline=None)  # a busy machine is no failure
@given(TABLES, FULL_FACTS, HIDDEN)
def test_plans_are_deterministic_and_well_formed(
    table: RouteTable, facts: UploadFacts, hidden: set[Fact]
) -> None:
    plan = table.plan(hide(facts, hidden))
    assert plan == table.plan(hide(facts, hidden))
    assert bool(plan.jobs) == (plan.outcome == "routed")
    assert bool(plan.missing) == (plan.outcome == "needs-facts")
    assert plan.missing <= hidden & table.needs
    assert plan.reason
    assert len({job.id for job in plan.jobs}) == len(plan.jobs)


@settings(deadline=None)  # a busy machine is no failure
@given(TABLES, FULL_FACTS, HIDDEN)
def test_what_is_missing_resolves_to_what_was_possible(
    table: RouteTable, facts: UploadFacts, hidden: set[Fact]
) -> None:
    before, after = table.plan(hide(facts, hidden)), table.plan(facts)
    assert after.outcome != "needs-facts"
    if before.outcome == "needs-facts":
        assert set(after.jobs) <= set(before.possible)
    else:
        assert after == before, "a decided plan must not change when more is known"


@settings(deadline=None)  # a busy machine is no failure
@given(TABLES, FULL_FACTS, HIDDEN)
def test_fetching_just_what_is_missing_decides(
    table: RouteTable, facts: UploadFacts, hidden: set[Fact]
) -> None:
    plan = table.plan(hide(facts, hidden))
    steps = 0
    while plan.outcome == "needs-facts":
        hidden = hidden - plan.missing
        plan = table.plan(hide(facts, hidden))
        steps += 1
    assert plan == table.plan(facts)
    assert steps <= len(FACTS)


@settings(deadline=None)  # a busy machine is no failure
@given(RULES, FULL_FACTS)
def test_the_first_match_is_the_head_of_all_matches(
    rules: list[dict[str, Any]], facts: UploadFacts
) -> None:
    first, every = build(rules, "first").plan(facts), build(rules, "all").plan(facts)
    assert first.outcome == every.outcome
    assert every.jobs[: len(first.jobs)] == first.jobs
    assert len({job.route for job in first.jobs}) <= 1


@settings(deadline=None)  # a busy machine is no failure
@given(TABLES, FULL_FACTS, HIDDEN)
def test_the_explanation_agrees_with_the_plan(
    table: RouteTable, facts: UploadFacts, hidden: set[Fact]
) -> None:
    explanation = table.explain(hide(facts, hidden))
    plan: Plan = explanation.plan
    assert plan == table.plan(hide(facts, hidden))
    if plan.outcome == "ignored":
        assert explanation.rules == ()
        return
    assert [line.rule for line in explanation.rules] == list(table.rules)
    matched = {
        line.rule.name for line in explanation.rules if line.is_reached and line.verdict.matched
    }
    assert {job.route for job in plan.jobs} <= matched
    assert plan.outcome != "unrouted" or not matched
