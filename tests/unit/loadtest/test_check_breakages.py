"""Each way to break a promise, seeded once: the checker must name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from checked_runs import Run, digest, good_run, result_key

from loadtest.evidence import RecordClaim


def source(run: Run, key: str, newest: int = 0) -> Any:
    return [row for row in run.sources if row.key == key][newest]


def record_index(run: Run, key: str, version_id: str) -> int:
    return next(
        at
        for at, record in enumerate(run.records)
        if (record.body or {})["ref"]["key"] == key
        and (record.body or {})["ref"]["version_id"] == version_id
    )


def change_record(run: Run, key: str, **changes: Any) -> None:
    at = record_index(run, key, source(run, key).version_id)
    record = run.records[at]
    run.records[at] = replace(record, body={**(record.body or {}), **changes})


def result_index(run: Run, key: str) -> int:
    return next(at for at, row in enumerate(run.results) if row.key == key and row.is_latest)


def change_result(run: Run, key: str, **changes: Any) -> None:
    at = result_index(run, key)
    run.results[at] = replace(run.results[at], **changes)


def drop_record(run: Run) -> None:
    del run.records[record_index(run, "b.jpg", source(run, "b.jpg").version_id)]


def drop_record_of_older_version(run: Run) -> None:
    del run.records[record_index(run, "a.jpg", source(run, "a.jpg", 1).version_id)]


def drop_result(run: Run) -> None:
    del run.results[result_index(run, result_key("b.jpg"))]


def hide_result_behind_delete_marker(run: Run) -> None:
    change_result(run, result_key("b.jpg"), is_latest=False)


def reject_a_good_one(run: Run) -> None:
    change_record(run, "b.jpg", state="rejected", code="image-truncated", outputs=[])


def let_a_good_one_die(run: Run) -> None:
    change_record(run, "b.jpg", state="dead", code="attempts-spent", outputs=[])


def supersede_the_newest(run: Run) -> None:
    change_record(run, "b.jpg", state="superseded", outputs=[])


def call_a_listed_version_gone(run: Run) -> None:
    change_record(run, "b.jpg", state="gone", outputs=[])


def reject_without_a_code(run: Run) -> None:
    change_record(run, "c.jpg", code="")


def never_end_a_bad_one(run: Run) -> None:
    del run.records[record_index(run, "c.jpg", source(run, "c.jpg").version_id)]


def write_a_record_twice(run: Run) -> None:
    run.records[0] = replace(run.records[0], stored_versions=2)


def record_a_job_under_two_names(run: Run) -> None:
    run.records.append(replace(run.records[0], name=run.records[0].name + "x"))


def write_a_result_twice(run: Run) -> None:
    at = result_index(run, result_key("b.jpg"))
    run.results.append(replace(run.results[at], version_id="again", is_latest=False))


def make_a_result_of_nothing(run: Run) -> None:
    phantom = replace(source(run, "b.jpg"), key="never.jpg", version_id="v9")
    run.results.append(run.result_of(phantom, result_key("never.jpg"), digest("x")))


def make_a_result_of_an_unlisted_version(run: Run) -> None:
    phantom = replace(source(run, "b.jpg"), version_id="v9")
    run.results.append(run.result_of(phantom, result_key("other.jpg"), digest("x")))


def make_a_result_nobody_asked_for(run: Run) -> None:
    run.results.append(run.result_of(source(run, "b.jpg"), "b.jpg_extra", digest("x")))


def drop_a_foreign_object_among_results(run: Run) -> None:
    change_result(run, result_key("b.jpg"), metadata={})


def record_an_upload_that_is_not_listed(run: Run) -> None:
    run.end(replace(source(run, "b.jpg"), key="never.jpg"), "done")


def record_another_pipeline(run: Run) -> None:
    record = run.records[0]
    run.records.append(replace(record, body={**(record.body or {}), "pipeline": "other"}))


def swap_contents(run: Run) -> None:
    first, second = result_index(run, result_key("a.jpg")), result_index(run, result_key("b.jpg"))
    bytes_of_first = run.results[first].sha256
    run.results[first] = replace(run.results[first], sha256=run.results[second].sha256)
    run.results[second] = replace(run.results[second], sha256=bytes_of_first)


def swap_whole_results(run: Run) -> None:
    first, second = result_index(run, result_key("a.jpg")), result_index(run, result_key("b.jpg"))
    run.results[first], run.results[second] = (
        replace(run.results[second], key=run.results[first].key),
        replace(run.results[first], key=run.results[second].key),
    )


def corrupt_a_result(run: Run) -> None:
    change_result(run, result_key("b.jpg"), sha256=digest("garbage"))


def empty_a_result(run: Run) -> None:
    change_result(run, result_key("b.jpg"), size_bytes=0)


def accept_a_bad_one(run: Run) -> None:
    change_record(run, "c.jpg", state="done", code="")


def write_a_result_of_a_bad_one(run: Run) -> None:
    run.results.append(run.result_of(source(run, "c.jpg"), result_key("c.jpg"), digest("x")))


def record_another_content(run: Run) -> None:
    body = run.records[0].body or {}
    run.records[0] = replace(
        run.records[0], body={**body, "ref": {**body["ref"], "etag": "f" * 32}}
    )


def record_another_size(run: Run) -> None:
    body = run.records[0].body or {}
    ref = {**body["ref"], "size_bytes": 12345}
    run.records[0] = replace(run.records[0], body={**body, "ref": ref})


def record_another_output(run: Run) -> None:
    outputs = [{"key": result_key("b.jpg"), "sha256": digest("other")}]
    change_record(run, "b.jpg", outputs=outputs)


def misname_a_record(run: Run) -> None:
    run.records[0] = replace(run.records[0], name=run.records[1].name)


def forge_a_job_id(run: Run) -> None:
    change_record(run, "b.jpg", job_id="0" * 32)


def garble_a_record(run: Run) -> None:
    run.records.append(RecordClaim(".marea/records/uploads/garbled", None))


def show_an_older_version(run: Run) -> None:
    key = result_key("a.jpg")
    for at, row in enumerate(run.results):
        if row.key == key:
            run.results[at] = replace(row, is_latest=not row.is_latest)


def show_an_older_version_after_a_bad_one(run: Run) -> None:
    bad = run.put("a.jpg", "broken too", oracle="bad")
    assert bad is not None
    run.end(bad, "rejected", "image-truncated")
    show_an_older_version(run)


def show_an_older_version_after_a_delete(run: Run) -> None:
    run.delete("a.jpg")
    show_an_older_version(run)


SEEDED: tuple[tuple[str, Callable[[Run], None]], ...] = (
    ("lost", drop_record),
    ("lost", drop_record_of_older_version),
    ("lost", drop_result),
    ("lost", hide_result_behind_delete_marker),
    ("lost", reject_a_good_one),
    ("lost", let_a_good_one_die),
    ("lost", supersede_the_newest),
    ("lost", call_a_listed_version_gone),
    ("lost", reject_without_a_code),
    ("lost", never_end_a_bad_one),
    ("duplicated", write_a_record_twice),
    ("duplicated", record_a_job_under_two_names),
    ("duplicated", write_a_result_twice),
    ("unexpected", make_a_result_of_nothing),
    ("unexpected", make_a_result_of_an_unlisted_version),
    ("unexpected", make_a_result_nobody_asked_for),
    ("unexpected", drop_a_foreign_object_among_results),
    ("unexpected", record_an_upload_that_is_not_listed),
    ("unexpected", record_another_pipeline),
    ("wrong", swap_contents),
    ("unexpected", swap_whole_results),
    ("wrong", corrupt_a_result),
    ("wrong", empty_a_result),
    ("wrong", accept_a_bad_one),
    ("wrong", write_a_result_of_a_bad_one),
    ("wrong", record_another_content),
    ("wrong", record_another_size),
    ("wrong", record_another_output),
    ("wrong", misname_a_record),
    ("wrong", forge_a_job_id),
    ("wrong", garble_a_record),
    ("out_of_order", show_an_older_version),
    ("out_of_order", show_an_older_version_after_a_bad_one),
    ("out_of_order", show_an_older_version_after_a_delete),
)


@pytest.mark.parametrize(("kind", "breakage"), SEEDED, ids=lambda v: getattr(v, "__name__", v))
def test_names_each_seeded_breakage(kind: str, breakage: Callable[[Run], None]) -> None:
    run = good_run()
    assert run.verdict().is_valid
    breakage(run)
    assert kind in run.kinds()
    assert not run.verdict().is_valid
