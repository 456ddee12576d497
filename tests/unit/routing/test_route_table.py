"""What each condition answers, and the plans that follow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from marea.messages.objects import ObjectRef
from marea.pipelines.pipeline import Produced, Source
from marea.routing.route import UploadFacts
from marea.routing.table import RouteTable, load_rules


@dataclass(frozen=True)
class NamedPipeline:
    """Writes `<stem>_<name><ext>`."""

    name: str
    pool: str = "images"
    digest: str = "0" * 16
    max_bytes: int = 1_000_000

    def result_keys(self, key: str) -> tuple[str, ...]:
        stem, dot, extension = key.rpartition(".")
        return (f"{stem or extension}_{self.name}{dot}{extension if stem else ''}",)

    def run(self, source: Source) -> Produced:
        return Produced(())


PIPELINES = {
    pipeline.name: pipeline
    for pipeline in (
        NamedPipeline("grayscale"),
        NamedPipeline("thumbnail"),
        NamedPipeline("web"),
        NamedPipeline("summary", pool="tables"),
    )
}


def load(text: str | None) -> RouteTable:
    return load_rules(
        text,
        PIPELINES,
        source_buckets=("uploads", "inbox"),
        results_bucket="results",
        reserved_prefix=".marea/",
    )


def one_rule(when: str, rest: str = "pipelines: [grayscale]") -> RouteTable:
    return load(f"rules:\n  - name: only\n    when: {when}\n    {rest}\n")


def make_facts(key: str = "a/photo.jpg", **changes: Any) -> UploadFacts:
    ref = ObjectRef(
        bucket=changes.pop("bucket", "uploads"),
        key=key,
        version_id="v1",
        size_bytes=changes.pop("size_bytes", 1000),
    )
    return UploadFacts(ref=ref, uploaded_at=changes.pop("uploaded_at", 5000.0), **changes)


def matches(when: str, facts: UploadFacts) -> bool | None:
    outcome = one_rule(when).plan(facts).outcome
    return {"routed": True, "unrouted": False, "needs-facts": None}[outcome]


@pytest.mark.parametrize(
    ("key", "pipeline", "pool"),
    [
        ("photo.jpg", "grayscale", "images"),
        ("a/b/PHOTO.JPEG", "grayscale", "images"),
        ("x.Avif", "grayscale", "images"),
        ("x.tiff", "grayscale", "images"),
        ("table.CSV", "summary", "tables"),
    ],
)
def test_routes_images_and_tables_without_any_rules_file(
    key: str, pipeline: str, pool: str
) -> None:
    (job,) = load(None).plan(make_facts(key)).jobs
    assert (job.pipeline, job.pool, job.priority, job.not_before) == (pipeline, pool, "normal", 0.0)


def test_leaves_other_uploads_unrouted_without_any_rules_file() -> None:
    assert load(None).plan(make_facts("notes.txt")).outcome == "unrouted"


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        ("{bucket: inbox}", make_facts(bucket="inbox"), True),
        ("{bucket: inbox}", make_facts(), False),
        ("{bucket: [inbox, uploads]}", make_facts(), True),
        ("{prefix: a/}", make_facts("a/x"), True),
        ("{prefix: a/}", make_facts("A/x"), False),
        ("{prefix: [b/, a/]}", make_facts("a/x"), True),
        ("{suffix: .jpg}", make_facts("x.JPG"), True),
        ("{suffix: [.png, .JPG]}", make_facts("x.jpg"), True),
        ("{suffix: .jpg}", make_facts("x.jpg.txt"), False),
        ("{key: 'a/*/c.*'}", make_facts("a/b/b/c.txt"), True),
        ("{key: 'a/?.jpg'}", make_facts("a/xy.jpg"), False),
        ("{key: '[a-c]/[!x]*'}", make_facts("b/y"), True),
        ("{key: '[a-c]/[!x]*'}", make_facts("b/x"), False),
        ("{key: 'lines*'}", make_facts("lines\nof.txt"), True),
        ("{key: 'a.jpg'}", make_facts("axjpg"), False),
        ("{content_type: image/*}", make_facts(content_type="image/png"), True),
        ("{content_type: TEXT/csv}", make_facts(content_type="text/CSV; charset=utf-8"), True),
        ("{content_type: image/*}", make_facts(content_type=""), False),
        ("{content_type: image/*}", make_facts(), None),
        ("{size: {min: 1000}}", make_facts(size_bytes=1000), True),
        ("{size: {min: 1001}}", make_facts(size_bytes=1000), False),
        ("{size: {max: 1 KB}}", make_facts(size_bytes=1000), True),
        ("{size: {max: 1 KB}}", make_facts(size_bytes=1001), False),
        ("{size: {max: 1KiB}}", make_facts(size_bytes=1024), True),
        ("{metadata: {Album: 'S*'}}", make_facts(user_metadata={"album": "Summer"}), True),
        ("{metadata: {album: 'S*'}}", make_facts(user_metadata={"album": "summer"}), False),
        ("{metadata: {album: '*'}}", make_facts(user_metadata={"album": ""}), True),
        ("{metadata: {album: '*'}}", make_facts(user_metadata={}), False),
        ("{metadata: {album: '*'}}", make_facts(), None),
        ("{tags: {Team: red}}", make_facts(tags={"Team": "red"}), True),
        ("{tags: {Team: red}}", make_facts(tags={"team": "red"}), False),
        ("{tags: {flag: yes}}", make_facts(tags={"flag": "yes"}), True),
        ("{tags: {Team: red}}", make_facts(), None),
        # One "no" decides, whatever is unknown besides.
        ("{prefix: b/, content_type: image/*, tags: {t: x}}", make_facts("a/x"), False),
        ("{tags: {t: x}, content_type: a/b}", make_facts(content_type="c/d"), False),
    ],
)
def test_conditions_answer_yes_no_or_unknown(
    when: str, facts: UploadFacts, expected: bool | None
) -> None:
    assert matches(when, facts) is expected


def test_a_rule_without_conditions_matches_every_upload() -> None:
    table = load("rules:\n  - pipelines: [grayscale]\n")
    assert [job.route for job in table.plan(make_facts("anything")).jobs] == ["rule-1"]


def test_jobs_carry_what_the_rule_decides() -> None:
    table = load(
        "rules:\n  - {name: r, pipelines: [web, summary], pool: big, priority: high,"
        " delay: 10m, tenant: acme}\n"
    )
    plan = table.plan(make_facts(uploaded_at=5000.0))
    assert [(job.pipeline, job.pool) for job in plan.jobs] == [("web", "big"), ("summary", "big")]
    for job in plan.jobs:
        assert (job.priority, job.not_before, job.tenant, job.route) == (
            "high",
            5600.0,
            "acme",
            "r",
        )
        assert job.ref == make_facts().ref


@pytest.mark.parametrize(
    ("key", "tenant"), [("acme/x/y.jpg", "acme"), ("top.jpg", ""), ("/odd.jpg", "")]
)
def test_the_tenant_is_the_first_path_segment_by_default(key: str, tenant: str) -> None:
    for table in (
        load(None),
        one_rule("{suffix: .jpg}", 'pipelines: [web]\n    tenant: "{prefix}"'),
    ):
        assert [job.tenant for job in table.plan(make_facts(key)).jobs] == [tenant]


TWO_RULES = """
match: {match}
rules:
  - {{name: one, when: {{prefix: a/}}, pipelines: [web, grayscale], priority: high}}
  - {{name: two, when: {{suffix: .jpg}}, pipelines: [grayscale, thumbnail]}}
"""


def test_the_first_matching_rule_decides() -> None:
    plan = load(TWO_RULES.format(match="first")).plan(make_facts("a/x.jpg"))
    assert [(job.route, job.pipeline) for job in plan.jobs] == [
        ("one", "web"),
        ("one", "grayscale"),
    ]
    assert "rule 'one' (line 4)" in plan.reason


def test_all_matching_rules_decide_and_a_shared_pipeline_runs_once_as_the_first_says() -> None:
    plan = load(TWO_RULES.format(match="all")).plan(make_facts("a/x.jpg"))
    assert [(job.route, job.pipeline, job.priority) for job in plan.jobs] == [
        ("one", "web", "high"),
        ("one", "grayscale", "high"),
        ("two", "thumbnail", "normal"),
    ]


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (make_facts(bucket="results"), "is the results bucket"),
        (make_facts(bucket="else"), "is not a source bucket"),
        (make_facts(".marea/records/x.jpg"), "Marea's own"),
        (make_facts("folder.jpg/", size_bytes=0), "marks a folder"),
    ],
)
def test_ignores_what_is_no_upload_and_says_why(facts: UploadFacts, sentence: str) -> None:
    plan = one_rule("{key: '*'}").plan(facts)
    assert plan.outcome == "ignored"
    assert sentence in plan.reason
    assert plan.jobs == ()


def test_routes_a_folder_name_that_has_content() -> None:
    assert one_rule("{key: '*'}").plan(make_facts("odd/", size_bytes=5)).outcome == "routed"


THREE_RULES = """
match: {match}
rules:
  - {{name: typed, when: {{prefix: a/, content_type: image/*}}, pipelines: [web]}}
  - {{name: tagged, when: {{prefix: a/, tags: {{t: x}}}}, pipelines: [thumbnail]}}
  - {{name: rest, when: {{suffix: .jpg}}, pipelines: [grayscale]}}
"""


def test_asks_only_for_facts_that_the_answer_depends_on() -> None:
    table = load(THREE_RULES.format(match="first"))
    assert table.needs == {"content_type", "tags"}
    plan = table.plan(make_facts("a/x.jpg"))
    assert (plan.outcome, plan.missing) == ("needs-facts", {"content_type", "tags"})
    assert [job.route for job in plan.possible] == ["typed", "tagged", "rest"]
    assert plan.jobs == ()
    # The first rule is settled: only the second one's fact is still open.
    known = table.plan(make_facts("a/x.jpg", content_type="text/plain"))
    assert known.missing == {"tags"}
    # A sure match ends the table before anything unknown matters.
    assert table.plan(make_facts("a/x.jpg", content_type="image/png")).outcome == "routed"
    # Names alone say no.
    assert [job.route for job in table.plan(make_facts("b/x.jpg")).jobs] == ["rest"]


def test_asks_in_all_mode_also_behind_a_sure_match() -> None:
    table = load(THREE_RULES.format(match="all"))
    plan = table.plan(make_facts("a/x.jpg", content_type="image/png"))
    assert (plan.outcome, plan.missing) == ("needs-facts", {"tags"})


def test_does_not_ask_when_a_rule_could_only_repeat_a_pipeline() -> None:
    table = load(
        "match: all\nrules:\n  - {name: sure, pipelines: [web]}\n"
        "  - {name: maybe, when: {tags: {t: x}}, pipelines: [web], priority: high}\n"
    )
    assert [job.route for job in table.plan(make_facts()).jobs] == ["sure"]


def test_explains_every_rule_by_the_condition_that_decided() -> None:
    explanation = load(THREE_RULES.format(match="first")).explain(
        make_facts("b/x.jpg", content_type="image/png")
    )
    assert [str(line) for line in explanation.rules] == [
        "rule 'typed' (line 4): does not match, prefix: a/",
        "rule 'tagged' (line 5): does not match, prefix: a/",
        "rule 'rest' (line 6): matches",
    ]
    explanation = load(THREE_RULES.format(match="first")).explain(
        make_facts("a/x.txt", content_type="image/png")
    )
    assert [str(line) for line in explanation.rules] == [
        "rule 'typed' (line 4): matches",
        "rule 'tagged' (line 5): not reached, an earlier rule matches",
        "rule 'rest' (line 6): not reached, an earlier rule matches",
    ]
    explanation = load(THREE_RULES.format(match="all")).explain(make_facts("a/x.txt"))
    assert [line.verdict.matched for line in explanation.rules] == [None, None, False]
    assert "not known yet, tags: t = x" in str(explanation.rules[1])
    assert load(None).explain(make_facts(bucket="results")).rules == ()


def test_names_the_pools_that_rules_send_to() -> None:
    assert load(None).pools == {"images", "tables"}
    assert one_rule("{suffix: .x}", "pipelines: [summary]\n    pool: big").pools == {"big"}


def test_an_event_and_a_listing_of_one_upload_give_the_same_jobs() -> None:
    table = load(TWO_RULES.format(match="all"))
    heard = make_facts("a/x.jpg", content_type="image/jpeg", user_metadata={"a": "b"})
    listed = dataclasses.replace(heard, content_type=None, user_metadata=None)
    assert table.plan(heard).jobs == table.plan(listed).jobs
