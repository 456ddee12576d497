"""The demo's corpus against the rules and pipelines it is made for."""

from __future__ import annotations

import pytest

from loadtest.demo.contact_sheet import COLUMNS, GAP, TILE, draw_contact_sheet
from loadtest.demo.corpus import NAMES, PHOTOS, RULES_FILE, CorpusFile, build_corpus, photo
from loadtest.demo.hostile import decompression_bomb
from loadtest.demo.look import judge_looks
from loadtest.demo.table import count_sentence, result_table
from loadtest.demo.watch import Ending
from loadtest.evidence import ResultVersion
from loadtest.history import Operation
from loadtest.image_header import shape_of
from loadtest.judge import mismatch
from marea.errors import PermanentError
from marea.messages.objects import ObjectRef
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source
from marea.routing.route import UploadFacts
from marea.routing.table import load_rules

CATALOG = load_catalog()


@pytest.fixture(scope="module")
def corpus() -> list[CorpusFile]:
    return build_corpus()


@pytest.fixture(scope="module")
def endings(corpus: list[CorpusFile]) -> list[Ending]:
    """Every file through its pipeline, in this process."""
    return [run_pipeline(file) for file in corpus]


def run_pipeline(file: CorpusFile) -> Ending:
    put = Operation("put", "uploads", file.key, 0.0, "ok", 1.0, "e", size_bytes=len(file.body))
    ending = Ending(file, put, state="done", took_s=0.1)
    if not file.pipeline:
        ending.state = "unrouted"
        return ending
    try:
        produced = CATALOG[file.pipeline].run(Source(file.body, file.key))
        ending.results = {artifact.key: artifact.data for artifact in produced.artifacts}
    except PermanentError as exc:
        ending.state, ending.code, ending.reason = "rejected", exc.code, str(exc)
    return ending


def test_has_sixty_files_of_twelve_photographs_under_distinct_keys(
    corpus: list[CorpusFile],
) -> None:
    assert len(NAMES) >= 12
    assert len(corpus) >= 60
    assert len({file.key for file in corpus}) == len(corpus)
    results = [expected.key for file in corpus for expected in file.expected]
    assert len(set(results)) == len(results)
    assert {file.oracle for file in corpus} == {"good", "bad", "unrouted"}


def test_credits_every_photograph() -> None:
    credits = (PHOTOS / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}.jpg` |" in credits for name in NAMES)
    assert sum(path.stat().st_size for path in PHOTOS.iterdir()) < 4_000_000
    assert all(max(photo(name).size) <= 1600 for name in NAMES)


def test_rules_send_each_file_where_the_oracle_says(corpus: list[CorpusFile]) -> None:
    rules = load_rules(
        RULES_FILE.read_text(encoding="utf-8"),
        CATALOG,
        source_buckets=["uploads"],
        results_bucket="results",
        reserved_prefix=".marea/",
    )
    for file in corpus:
        ref = ObjectRef("uploads", file.key, "v1", "e", len(file.body))
        plan = rules.plan(UploadFacts(ref, 0.0))
        assert [job.pipeline for job in plan.jobs] == ([file.pipeline] if file.pipeline else [])


def test_oracle_and_pipelines_agree_on_every_file(endings: list[Ending]) -> None:
    for ending in endings:
        judge_looks(ending)
        assert ending.problem == "", ending.file.key
        expected = {result.key: result.verify for result in ending.file.expected}
        assert set(ending.results) == set(expected)
        for key, body in ending.results.items():
            stored = ResultVersion(key, "", "", len(body), shape=shape_of(body))
            assert mismatch(expected[key], stored) == ""


def test_a_result_of_another_scene_or_lying_on_its_side_is_seen(corpus: list[CorpusFile]) -> None:
    files = {file.key: file for file in corpus}
    right = run_pipeline(files["orientation/pagoda-6.jpg"])
    results = list(right.results.values())
    for wrong in ("photos/cat.jpg", "orientation/pagoda-6.jpg"):
        ending = run_pipeline(files[wrong])
        body = results[0] if wrong == "photos/cat.jpg" else files[wrong].body
        ending.results = dict.fromkeys(ending.results, body)
        judge_looks(ending)
        assert ending.problem, wrong


def test_an_unforetold_ending_is_a_problem(corpus: list[CorpusFile]) -> None:
    files = {file.key: file for file in corpus}
    rejected = run_pipeline(files["photos/cat.jpg"])
    rejected.state = "rejected"
    accepted = run_pipeline(files["hostile/truncated.jpg"])
    accepted.state = "done"
    for ending in (rejected, accepted):
        judge_looks(ending)
        assert "the oracle calls it" in ending.problem


def test_the_bomb_unpacks_to_a_thousand_times_its_size() -> None:
    body = decompression_bomb()
    assert shape_of(body) == "image:50000x50000:L"
    assert len(body) < 50_000 * 50_000 // 8 // 1000


def test_contact_sheet_and_table_show_every_file(endings: list[Ending]) -> None:
    sheet = draw_contact_sheet(endings, "Title", "subtitle")
    rows = -(-len(endings) // COLUMNS)
    assert sheet.width > COLUMNS * TILE[0]
    assert sheet.height > rows * (TILE[1] + GAP)
    assert result_table(endings).row_count == len(endings)
    assert count_sentence(endings).startswith("63 done, 6 rejected")
