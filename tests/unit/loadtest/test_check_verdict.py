"""What a faultless run may look like, and what the checker refuses to judge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checked_runs import Run, good_run

from loadtest.history import HistoryError, Operation


def test_counts_what_it_checked() -> None:
    summary = good_run().verdict().summary()
    assert summary["valid"] is True
    assert (summary["acknowledged"], summary["checked"], summary["results"]) == (4, 4, 3)


def test_an_older_version_may_end_superseded() -> None:
    run = Run()
    first = run.put("a.jpg", "a1")
    second = run.put("a.jpg", "a2")
    assert first
    assert second
    run.end(first, "superseded", "superseded")
    run.done(second, "a2")
    assert run.verdict().is_valid


def test_a_deleted_upload_may_end_superseded() -> None:
    run = good_run()
    late = run.put("d.jpg", "d1")
    assert late
    run.delete("d.jpg")
    run.end(late, "superseded", "superseded")
    assert run.verdict().is_valid


def test_an_unanswered_put_that_happened_is_recovered_and_judged() -> None:
    run = good_run()
    version = run.put("d.jpg", "d1", outcome="unknown")
    assert version
    assert run.kinds() == {"lost"}
    run.done(version, "d1")
    assert run.verdict().is_valid
    assert run.verdict().recovered == 1


def test_an_unanswered_put_that_did_not_happen_is_nothing() -> None:
    run = good_run()
    run.put("d.jpg", "d1", outcome="unknown", happened=False)
    assert run.verdict().is_valid
    assert run.verdict().recovered == 0


def test_what_the_store_itself_lost_is_reported_apart() -> None:
    run = good_run()
    run.put("d.jpg", "d1", happened=False)
    verdict = run.verdict()
    assert [finding.key for finding in verdict.of_kind("vanished")] == ["d.jpg"]
    assert verdict.is_valid


def test_a_purged_version_has_not_vanished() -> None:
    run = good_run()
    run.put("d.jpg", "d1", happened=False)
    put = run.history[-1]
    run.history.append(
        Operation("purge", put.bucket, put.key, 90.0, "ok", 91.0, version_id=put.version_id)
    )
    assert run.kinds() == set()


def test_an_unrouted_upload_leaves_nothing() -> None:
    run = good_run()
    version = run.put("notes.txt", "n", oracle="unrouted")
    assert version
    assert run.verdict().is_valid
    run.end(version, "rejected", "unsupported-format")
    assert run.kinds() == {"unexpected"}


def test_somebody_elses_upload_needs_a_record_too() -> None:
    run = good_run()
    del run.history[2]  # the PUT of b.jpg: listed, but in nobody's history
    assert run.verdict().is_valid
    run.records = [r for r in run.records if "b.jpg" not in r.name]
    assert "lost" in run.kinds()


def test_refuses_an_empty_history() -> None:
    run = good_run()
    run.history.clear()
    with pytest.raises(HistoryError, match="nothing was checked"):
        run.verdict()


def test_refuses_a_source_bucket_that_lists_nothing() -> None:
    run = good_run()
    run.sources.clear()
    with pytest.raises(HistoryError, match="nothing was checked"):
        run.verdict()


def test_without_versions_the_old_content_may_come_back() -> None:
    run = Run(versioned=False)
    for content in ("A", "B", "A"):
        version = run.put("a.jpg", content)
        assert version
        run.done(version, content)
    assert run.verdict().is_valid
    stale = run.results[1]
    run.results[0] = replace(run.results[0], is_latest=False)
    run.results[1] = replace(stale, is_latest=True)
    assert run.kinds() == {"out_of_order"}
