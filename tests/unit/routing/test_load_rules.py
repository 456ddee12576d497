"""Every mistake is told at once, with rule, line and what to change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marea.errors import ConfigError
from marea.messages.objects import ObjectRef
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Pipeline, Produced, Source
from marea.routing.glob import compile_glob, sample_of
from marea.routing.route import UploadFacts
from marea.routing.table import RouteTable, load_rules
from marea.routing.units import parse_duration_s, parse_size_bytes

DOCS = Path(__file__).parents[3] / "docs" / "rules.md"


@dataclass(frozen=True)
class TemplatePipeline:
    """Writes what `keys` says."""

    name: str
    keys: Callable[[str], str] = field(default=lambda key: key + ".out")
    pool: str = "images"
    digest: str = "0" * 16
    max_bytes: int = 1_000_000

    def result_keys(self, key: str) -> tuple[str, ...]:
        return (self.keys(key),)

    def run(self, source: Source) -> Produced:
        return Produced(())


def stem(key: str) -> str:
    return key.rpartition(".")[0] or key


PIPELINES: dict[str, Pipeline] = {
    pipeline.name: pipeline
    for pipeline in (
        TemplatePipeline("gray", lambda key: f"{stem(key)}_gray.png"),
        TemplatePipeline("small", lambda key: f"{stem(key)}_small.png"),
        TemplatePipeline("also-small", lambda key: f"{stem(key)}_small.png"),
        TemplatePipeline("kept", lambda key: f"kept/{key}"),
        # Meets `kept` only under one prefix: seen only with a key made of that prefix.
        TemplatePipeline("odd", lambda key: f"kept/{key}" if "deep/" in key else f"odd/{key}"),
    )
}


def load(text: str) -> RouteTable:
    return load_rules(
        text,
        PIPELINES,
        source_buckets=("uploads",),
        results_bucket="results",
        reserved_prefix=".marea/",
    )


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return caught.value.problems


def rule(text: str) -> str:
    return f"rules:\n  - name: r\n    pipelines: [gray]\n    {text}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (rule("prioritty: high"), "unknown field 'prioritty' (line 4); did you mean 'priority'?"),
        (rule("when: {sufix: .x}"), "unknown field 'sufix' (line 4); did you mean 'suffix'?"),
        (rule("zzz: 1"), "known are name, when, pipelines"),
        (rule("when: {size: {max: ten}}"), "max (line 4): 'ten' is not a size; write 10 MB"),
        (rule("when: {size: {max: 10 XB}}"), "has an unknown unit"),
        (rule("when: {size: {min: -1}}"), "'-1' is negative"),
        (rule("when: {size: {min: 2 MB, max: 1 MB}}"), "min above max"),
        (rule("when: {size: {}}"), "size (line 4) must be a mapping with min, max"),
        (rule("when: {size: 5 MB}"), "size (line 4) must be a mapping with min, max"),
        (rule("when: {key: 'a[b'}"), "bad pattern in key (line 4): 'a[b' leaves a '[' open"),
        (rule("when: {key: '[z-a]'}"), "range that runs backwards"),
        (rule("when: {content_type: '['}"), "bad pattern in content_type (line 4)"),
        (rule("when: {metadata: {album: '[x'}}"), "bad pattern in album (line 4)"),
        (rule("when: {metadata: album}"), "must be a mapping with a pattern per name"),
        (rule("when: {suffix: []}"), "suffix (line 4) must be a text or a list of texts"),
        (rule("when: {suffix: [.x, ~]}"), "suffix (line 4) must be a text or a list of texts"),
        (rule("when: {prefix: {a: b}}"), "prefix (line 4) must be a text or a list of texts"),
        (rule("when: {bucket: elsewhere}"), "'elsewhere' (line 4) is not a source bucket"),
        (rule("when: [a]"), "when (line 4) must be a mapping with bucket"),
        (rule("pool: Big Pool"), "pool 'Big Pool' must be 1 to 40 of a-z"),
        (rule("pool: quarantine"), "pool 'quarantine' is reserved"),
        (rule("priority: urgent"), "priority 'urgent' must be one of high, normal"),
        (rule("delay: -10m"), "delay (line 4): '-10m' is negative"),
        (rule("delay: soon"), "'soon' is not a duration; write 30s, 10m"),
        (rule("delay: 400d"), "is more than a year"),
        (rule("delay: .inf"), "'.inf' is not a duration"),
        (rule('tenant: "{bucket}"'), "tenant '{bucket}' must be {prefix}"),
        (rule("tenant: ~"), "tenant (line 4) must be a text"),
        (rule("priority: high\n    priority: normal"), "'priority' is given twice (lines 4 and 5)"),
        ("rules:\n  - name: r\n", "has no pipelines; list at least one"),
        ("rules:\n  - pipelines: [grey]\n", "unknown pipeline 'grey' (line 2); known are also"),
        ("rules:\n  - pipelines: [gray, gray]\n", "pipeline 'gray' is listed twice"),
        ("rules:\n  - {name: 'a b', pipelines: [gray]}\n", "name 'a b' must be 1 to 60 letters"),
        ("rules:\n  - just text\n", "rule 1 (line 2): it must be a mapping with name"),
        ("rules: []\n", "rules (line 1) must be a list of at least one entry"),
        ("rules: {a: b}\n", "rules (line 1) must be a list of at least one entry"),
        ("match: first\n", "there is no list `rules`"),
        ("match: some\nrules:\n  - pipelines: [gray]\n", "match 'some' must be 'first'"),
        ("roules: []\n", "unknown field 'roules' (line 1); did you mean 'rules'?"),
        ("", "rules: is empty"),
        ("- a\n", "the document must be a mapping with match, rules"),
        ("rules: [\n", "rules: is not YAML"),
        ("a: !!python/object:os.system x\n", "unknown field 'a'"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_and_where(text: str, sentence: str) -> None:
    assert any(sentence in problem for problem in problems_of(text)), problems_of(text)


def test_tells_all_problems_at_once_each_with_rule_and_line() -> None:
    problems = problems_of(
        "match: some\n"
        "rules:\n"
        "  - name: one\n"
        "    pipelines: [nope]\n"
        "    delay: -1s\n"
        "  - name: one\n"
        "    pipelines: [gray]\n"
        "    when: {key: '['}\n"
    )
    assert [problem.split(": ")[0] for problem in problems] == [
        "rules",
        "rule 1 'one' (line 3)",
        "rule 1 'one' (line 3)",
        "rule 2 'one' (line 6)",
        "rule 2 'one' (line 6)",
    ]
    assert "the name is taken by the rule at line 3" in problems[3]


def test_refuses_two_pipelines_of_one_rule_that_write_one_key() -> None:
    (problem,) = problems_of("rules:\n  - {name: r, pipelines: [small, gray, also-small]}\n")
    assert problem.startswith("rule 'r' (line 2): pipelines 'small' and 'also-small' both write")
    assert "photo_small.png" in problem


def test_sees_a_collision_that_only_the_keys_of_the_rule_can_meet() -> None:
    text = "rules:\n  - {{name: r, when: {{{when}}}, pipelines: [kept, odd]}}\n"
    assert load(text.format(when="prefix: flat/")).rules
    for when in ("prefix: deep/", "key: 'a/deep/*.jpg'", "key: '[d]eep/?'"):
        (problem,) = problems_of(text.format(when=when))
        assert "'kept' and 'odd' both write" in problem


TWO_RULES = """
match: {match}
rules:
  - {{name: one, when: {{{one}}}, pipelines: [small]}}
  - {{name: two, when: {{{two}}}, pipelines: [also-small]}}
"""


@pytest.mark.parametrize(
    ("match", "one", "two", "collides"),
    [
        ("all", "suffix: .png", "prefix: a/", True),
        ("all", "suffix: .png", "suffix: .jpg", False),
        ("all", "prefix: a/", "prefix: a/b/", True),
        ("all", "prefix: a/", "prefix: b/", False),
        ("all", "key: 'a/*'", "suffix: .gif", True),
        ("all", "tags: {t: x}", "content_type: image/*", True),
        ("first", "suffix: .png", "prefix: a/", False),
    ],
)
def test_refuses_rules_that_can_meet_in_one_key(
    match: str, one: str, two: str, collides: bool
) -> None:
    text = TWO_RULES.format(match=match, one=one, two=two)
    if not collides:
        assert len(load(text).rules) == 2
        return
    (problem,) = problems_of(text)
    assert problem.startswith("rule 'one' (line 4) and rule 'two' (line 5): pipelines")


def test_warns_of_one_pipeline_that_makes_one_result_of_two_suffixes() -> None:
    table = load("rules:\n  - {name: r, when: {suffix: [.jpg, .png]}, pipelines: [gray, kept]}\n")
    (warning,) = table.warnings
    assert "'photo_gray.png' of both 'photo.jpg' and 'photo.png'" in warning
    assert "{source_ext}" in warning
    assert load("rules:\n  - {when: {suffix: [.jpg, .JPG]}, pipelines: [gray]}\n").warnings == ()


def test_the_built_in_rules_fit_the_built_in_pipelines() -> None:
    table = load_rules(
        None,
        load_catalog(entry_points=()),
        source_buckets=("uploads",),
        results_bucket="results",
        reserved_prefix=".marea/",
    )
    assert table.warnings == ()
    assert table.needs == frozenset()


def test_the_example_of_the_guide_loads_and_does_what_it_says() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    table = load_rules(
        example,
        load_catalog(entry_points=()),
        source_buckets=("uploads",),
        results_bucket="results",
        reserved_prefix=".marea/",
    )

    def routes(key: str, **known: object) -> list[tuple[str, str, str, str]]:
        facts = UploadFacts(ObjectRef("uploads", key, "v", size_bytes=100), 1000.0, **known)  # type: ignore[arg-type]
        return [(job.route, job.pipeline, job.pool, job.tenant) for job in table.plan(facts).jobs]

    assert routes("avatars/me.png") == [
        ("avatars", "square", "images", "avatars"),
        ("avatars", "thumbnail", "images", "avatars"),
    ]
    assert routes(
        "scans/2026/page-1.tif", user_metadata={"archive": "no"}, tags={"state": "approved"}
    ) == [("archive-scans", "avif", "scans", "archive")]
    assert routes("shop/list.csv", content_type="text/csv") == [
        ("tables", "summary", "tables", "shop")
    ]
    assert routes("x/y", content_type="image/png") == [("photos", "grayscale", "images", "x")]


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("1_000", 1000), ("10 MB", 10_000_000), ("10mib", 10_485_760), ("1.5 KB", 1500),
     ("2 TiB", 2 * 2**40), ("7B", 7)],
)  # fmt: skip
def test_reads_sizes_as_people_write_them(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5 h", 5400.0), ("1d", 86400.0)],
)  # fmt: skip
def test_reads_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@settings(deadline=None)  # a busy machine is no failure
@given(st.text("ab[]!-*?]x", min_size=1, max_size=12))
def test_a_pattern_is_refused_or_matches_its_own_sample(pattern: str) -> None:
    try:
        glob = compile_glob(pattern)
    except ValueError:
        return
    assert glob.match(sample_of(pattern))


@pytest.mark.timeout(20)  # backtracking would take years
def test_many_stars_over_a_hostile_key_are_quick() -> None:
    assert not compile_glob("*a" * 30 + "*b").match("a" * 1024)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=200))
def test_any_text_loads_or_is_refused_with_sentences(text: str) -> None:
    try:
        load(text)
    except ConfigError as exc:
        assert exc.problems  # noqa: PT017
