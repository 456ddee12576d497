"""The audit: every listed version in exactly one class, and what is wrong by name."""

from __future__ import annotations

from dataclasses import replace

from marea.reconciler.audit import audit
from marea.routing.route import Plan, UploadFacts
from marea.wiring import Declarations
from tests.simulation.world import RESULTS, SOURCE, Stamp
from tests.unit.reconciler.reconciler_bench import Bench


class Rules:
    """As much of a rule table as an audit asks."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def plan(self, facts: UploadFacts) -> Plan:
        if facts.ref.key.endswith(".txt"):
            return Plan("unrouted", "no rule matches")
        if facts.ref.key.endswith("/"):
            return Plan("ignored", "a folder's marker")
        return self._bench.plan(facts)


def carry_out(bench: Bench) -> dict[str, object]:
    declarations = Declarations(bench.pipelines, Rules(bench))  # type: ignore[arg-type]
    return audit(bench.performer, declarations, bench.place, (SOURCE,)).as_json()


def test_the_classes_add_up_to_the_listing() -> None:
    bench = Bench()
    bench.hear_of(bench.upload("done"))
    bench.hear_of(bench.upload("twice", b"old"))
    bench.hear_of(bench.upload("twice", b"new"))
    bench.hear_of(bench.upload("broken", b"bad"))
    bench.work_off()
    bench.hear_of(bench.upload("queued"))
    bench.upload("note.txt")
    bench.upload("folder/", b"")
    bench.upload("missing")
    report = carry_out(bench)
    classes = report["classes"]
    assert isinstance(classes, dict)
    assert {name: count for name, count in classes.items() if count} == {
        "done": 2, "superseded": 1, "rejected": 1, "in_flight": 1, "unrouted": 1, "ignored": 1,
    }  # fmt: skip
    assert report["missing"] == 1
    assert report["versions"] == sum(classes.values()) + 1
    assert report["duplicates"] == 0


def test_a_lost_ledger_does_not_make_ended_work_missing() -> None:
    bench = Bench()
    bench.hear_of(bench.upload("photo"))
    bench.work_off()
    bench.ledger.__init__(bench.clock)  # type: ignore[misc]
    assert carry_out(bench)["missing"] == 0


def test_a_deleted_record_is_missing() -> None:
    bench = Bench()
    job = bench.hear_of(bench.upload("photo"))
    bench.work_off()
    bench.store.delete(RESULTS, bench.place.record_key(job))
    report = carry_out(bench)
    assert report["missing"] == 1
    assert str(report["missing_jobs"]).count("photo") == 1


def test_a_result_that_one_job_stored_twice_is_a_duplicate() -> None:
    bench = Bench()
    bench.hear_of(bench.upload("photo"))
    bench.work_off()
    head = bench.store.head(RESULTS, "photo_gray")
    assert head is not None
    bench.store.put(RESULTS, "photo_gray", b"again", metadata=head.metadata)
    report = carry_out(bench)
    assert report["duplicates"] == 1
    assert "photo_gray" in str(report["duplicate_results"])


def test_newer_versions_of_a_result_are_no_duplicates() -> None:
    bench = Bench()
    for body in (b"one", b"two", b"three"):
        bench.hear_of(bench.upload("photo", body))
        bench.work_off()
    assert carry_out(bench)["duplicates"] == 0


def test_results_of_an_older_definition_are_stale_and_not_missing() -> None:
    bench = Bench()
    bench.hear_of(bench.upload("photo"))
    bench.work_off()
    bench.pipelines["gray"] = replace(Stamp("gray"), digest="fedcba9876543210")
    report = carry_out(bench)
    assert report["stale"] == 1
    assert report["missing"] == 0


def test_an_old_contents_replaced_result_is_not_stale() -> None:
    """Nobody could make it anew: its place is taken by the newer content's."""
    bench = Bench()
    bench.hear_of(bench.upload("photo", b"old"))
    bench.work_off()
    bench.pipelines["gray"] = replace(Stamp("gray"), digest="fedcba9876543210")
    bench.hear_of(bench.upload("photo", b"new"))
    bench.work_off()
    assert carry_out(bench)["stale"] == 0
