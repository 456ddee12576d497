"""Any faultless run passes; any one breakage of it, wherever it strikes, is caught."""

from __future__ import annotations

from dataclasses import dataclass, replace

from checked_runs import Run, digest, result_key
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loadtest.evidence import ResultVersion, SourceVersion
from loadtest.history import Oracle, Outcome


@dataclass(frozen=True)
class Upload:
    """A listed upload of a faultless run, and whether it ended done."""

    version: SourceVersion
    oracle: str
    done: bool
    newest: bool


@st.composite
def faultless_runs(draw: st.DrawFn) -> tuple[Run, list[Upload]]:
    """Clients overwrite, delete and lose answers; the platform does everything right."""
    run = Run(versioned=draw(st.booleans()))
    uploads: list[Upload] = []
    for number in range(draw(st.integers(1, 10))):
        key = draw(st.sampled_from(("a.jpg", "b/ä +1.jpg", "c")))
        action = draw(st.sampled_from(("good", "good", "good", "bad", "delete", "lost-answer")))
        if action == "delete":
            run.delete(key)
            continue
        happened = action != "lost-answer" or draw(st.booleans())
        oracle: Oracle = "bad" if action == "bad" else "good"
        outcome: Outcome = "unknown" if action == "lost-answer" else "ok"
        content = f"{key}-{number}"
        version = run.put(key, content, oracle, outcome, happened=happened)
        if version is None:
            continue
        ending = draw(st.sampled_from(("at once", "late")))
        if oracle == "bad":
            run.end(version, "rejected", "image-truncated")
        elif ending == "at once":
            run.done(version, content)
        uploads.append(Upload(version, oracle, ending == "at once" and oracle == "good", False))
    settled: list[Upload] = []
    for upload in uploads:
        rows = [row for row in run.sources if row.key == upload.version.key]
        newest = bool(rows) and rows[0].identity == upload.version.identity
        done = upload.done
        if upload.oracle == "good" and not done:
            if newest:
                content = next(
                    f"{upload.version.key}-{n}"
                    for n in range(10)
                    if digest("etag", f"{upload.version.key}-{n}")[:32] == upload.version.etag
                )
                run.done(upload.version, content)
                done = True
            else:
                run.end(upload.version, "superseded", "superseded")
        if upload.version.identity in {row.identity for row in rows}:
            settled.append(replace(upload, done=done, newest=newest))
    assume(settled)
    return run, settled


@settings(max_examples=150, deadline=None)
@given(faultless_runs())
def test_a_faultless_run_is_valid(made: tuple[Run, list[Upload]]) -> None:
    run, uploads = made
    verdict = run.verdict()
    assert verdict.findings == []
    assert verdict.checked == len(uploads)


def drop_record(run: Run, upload: Upload) -> None:
    run.records[:] = [r for r in run.records if not is_of(r.body, upload)]


def is_of(body: object, upload: Upload) -> bool:
    assert isinstance(body, dict)
    ref = body["ref"]
    return bool(
        ref["key"] == upload.version.key
        and (ref["version_id"] or f"etag:{ref['etag']}") == upload.version.identity
    )


def duplicate_record(run: Run, upload: Upload) -> None:
    mine = [r for r in run.records if is_of(r.body, upload)]
    run.records.extend(mine)


def reject(run: Run, upload: Upload) -> None:
    assume(upload.oracle == "good")
    for at, record in enumerate(run.records):
        if is_of(record.body, upload):
            body = {**(record.body or {}), "state": "dead", "code": "attempts-spent"}
            run.records[at] = replace(record, body=body)


def friendly(run: Run, upload: Upload) -> int:
    """Where the upload's own result is, if that is what its key shows; else not this case."""
    for at, row in enumerate(run.results):
        if row.is_latest and row.metadata["marea-source"] == upload.version.identity:
            return at
    assume(False)
    raise AssertionError


def drop_result(run: Run, upload: Upload) -> None:
    assume(upload.done and upload.newest)
    del run.results[friendly(run, upload)]


def corrupt_result(run: Run, upload: Upload) -> None:
    assume(upload.done)
    at = friendly(run, upload)
    run.results[at] = replace(run.results[at], sha256=digest("something else"))


def duplicate_result(run: Run, upload: Upload) -> None:
    assume(upload.done)
    twin = replace(run.results[friendly(run, upload)], is_latest=False, version_id="twin")
    run.results.append(twin)


def invent_result(run: Run, upload: Upload) -> None:
    phantom = replace(upload.version, version_id="never", etag="never")
    key = result_key(upload.version.key) + "-phantom"
    run.results.append(run.result_of(phantom, key, digest("phantom")))


def show_older(run: Run, upload: Upload) -> None:
    assume(upload.done)
    at = friendly(run, upload)
    older: list[ResultVersion] = [
        row for row in run.results[at + 1 :] if row.key == run.results[at].key
    ]
    assume(older)
    run.results[at] = replace(run.results[at], is_latest=False)
    stale = run.results.index(older[0])
    run.results[stale] = replace(run.results[stale], is_latest=True)


BREAKAGES = {
    drop_record: "lost",
    drop_result: "lost",
    reject: "lost",
    duplicate_record: "duplicated",
    duplicate_result: "duplicated",
    corrupt_result: "wrong",
    invent_result: "unexpected",
    show_older: "out_of_order",
}


@settings(max_examples=500, deadline=None)
@given(faultless_runs(), st.sampled_from(sorted(BREAKAGES, key=lambda f: f.__name__)), st.data())
def test_any_one_breakage_is_caught(
    made: tuple[Run, list[Upload]], breakage: object, data: st.DataObject
) -> None:
    run, uploads = made
    assert callable(breakage)
    breakage(run, data.draw(st.sampled_from(uploads)))
    verdict = run.verdict()
    assert not verdict.is_valid
    assert BREAKAGES[breakage] in {finding.kind for finding in verdict.findings}
