"""The verdict on a run: pure, and ignorant of how Marea works inside.

    for each listed version        a record per pipeline, and the right friendly results if it
                                   is the current one            lost, wrong, out_of_order
    for each record                names an upload that exists, once       unexpected, duplicated
    for each stored result         made of such an upload, right bytes     unexpected, wrong
    for each acknowledged PUT      still listed, or replaced by the client           vanished

A rejected upload that the oracle calls good counts as lost. Nothing to check is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase

from loadtest.evidence import (
    META_DIGEST,
    META_KEY,
    META_PIPELINE,
    META_SOURCE,
    RecordClaim,
    ResultVersion,
    SourceVersion,
    Verdict,
    key_hash,
)
from loadtest.history import HistoryError, Operation
from loadtest.judge_records import index_records
from loadtest.uploads import Upload, Uploads


def judge(
    history: Sequence[Operation],
    source_versions: Sequence[SourceVersion],
    result_versions: Sequence[ResultVersion],
    records: Sequence[RecordClaim],
) -> Verdict:
    """Raises `HistoryError` if the history holds no PUT, or no upload is listed to judge.

    `source_versions` are in the listing's order: per key, newest first.
    """
    uploads = Uploads(history, source_versions)
    verdict = Verdict(acknowledged=uploads.acknowledged, recovered=uploads.recovered)
    if not uploads.has_puts:
        raise HistoryError("the history holds no PUT: nothing was checked")
    for operation in uploads.vanished:
        verdict.add(
            "vanished",
            operation.key,
            operation.version_id or f"etag:{operation.etag}",
            "acknowledged by the store, which no longer lists it",
        )
    if not uploads.listed:
        raise HistoryError("the source bucket lists none of the uploads: nothing was checked")
    claims = index_records(records, uploads, verdict)
    results = _Results(result_versions, uploads)
    for upload in uploads.listed:
        verdict.checked += 1
        _judge_upload(upload, claims.get(upload.id, {}), results, verdict)
    _judge_order(uploads, claims, results, verdict)
    _judge_results(results, uploads, verdict)
    return verdict


Claims = dict[str, RecordClaim]
"""The records of one upload, by pipeline."""


class _Results:
    """The stored results, by key, with the upload that each was made of."""

    def __init__(self, versions: Sequence[ResultVersion], uploads: Uploads) -> None:
        self.stored = [version for version in versions if not version.is_delete_marker]
        self.current = {
            version.key: version
            for version in versions
            if version.is_latest and not version.is_delete_marker
        }
        self.keep_versions = any(version.version_id for version in versions)
        by_hash = {key_hash(upload.bucket, upload.key): upload for upload in uploads.known}
        self._homes = {digest: (up.bucket, up.key) for digest, up in by_hash.items()}
        self._uploads = uploads
        self.of_upload: dict[tuple[tuple[str, str, str], str], list[ResultVersion]] = defaultdict(
            list
        )
        for version in self.stored:
            if owner := self.owner(version):
                self.of_upload[owner.id, version.key].append(version)

    def owner(self, version: ResultVersion) -> Upload | None:
        """The upload whose identity the artifact carries; None if there is no such upload."""
        home = self._homes.get(version.metadata.get(META_KEY, ""))
        if home is None:
            return None
        return self._uploads.find((*home, version.metadata.get(META_SOURCE, "")))


def _judge_upload(upload: Upload, claims: Claims, results: _Results, verdict: Verdict) -> None:
    if upload.oracle == "unrouted":
        return  # records and results of it are `unexpected`, found from their side
    pipelines = upload.pipelines or tuple(claims)
    if not pipelines:
        verdict.add("lost", upload.key, upload.identity, "no record says how it ended")
    for pipeline in pipelines:
        if problem := _problem_of_ending(upload, claims.get(pipeline), pipeline, results):
            verdict.add(problem[0], upload.key, upload.identity, problem[1])


def _problem_of_ending(
    upload: Upload, claim: RecordClaim | None, pipeline: str, results: _Results
) -> tuple[str, str] | None:
    if claim is None or claim.body is None:
        return "lost", f"no record says how {pipeline} ended"
    state, code = claim.body.get("state"), claim.body.get("code")
    if state in ("rejected", "dead"):
        if upload.oracle == "good":
            return "lost", f"the oracle calls it good, {pipeline} ended {state} ({code})"
        return None if code else ("lost", f"{pipeline} ended {state} without a code")
    if state == "superseded":
        if not upload.is_current:
            return None
        if upload.has_versions or not upload.expected_of(pipeline):
            return "lost", f"{pipeline} ended superseded, but nothing newer is listed"
    elif state != "done":
        return "lost", f"{pipeline} ended {state}, but the version is listed"
    if upload.oracle == "bad":
        return "wrong", f"the oracle calls it bad, {pipeline} ended {state}"
    return _problem_of_results(upload, claim, pipeline, results)


def _problem_of_results(
    upload: Upload, claim: RecordClaim, pipeline: str, results: _Results
) -> tuple[str, str] | None:
    """Of a version that ended done: are its results where they belong?"""
    body = claim.body or {}
    promised = {str(output.get("key")) for output in body.get("outputs") or ()}
    keys = {result.key for result in upload.expected_of(pipeline)} or promised
    if not keys:
        return "lost", f"{pipeline} ended done without any output"
    for key in sorted(keys):
        mine = results.of_upload.get((upload.id, key), [])
        if not mine and results.keep_versions:
            return "lost", f"{pipeline} ended done, no stored version of {key} is made of it"
        recorded = {str(o.get("sha256")) for o in body.get("outputs") or () if o.get("key") == key}
        if mine and recorded and not recorded & {version.sha256 for version in mine}:
            return "wrong", f"the bytes of {key} are not those that the record lists"
        if not upload.is_current:
            continue
        current = results.current.get(key)
        if current is None:
            return "lost", f"{key} is missing"
        owner = results.owner(current)
        if owner is None:
            return "wrong", f"{key} is not made of any known upload"
        if owner.id == upload.id:
            continue
        if owner.key == upload.key:
            return "out_of_order", f"{key} shows {owner.identity}, which is older"
        return "wrong", f"{key} is made of {owner.key}"
    return None


def _judge_order(
    uploads: Uploads,
    claims: dict[tuple[str, str, str], Claims],
    results: _Results,
    verdict: Verdict,
) -> None:
    """Where the newest version is no good or deleted: the newest that is done must show."""
    for versions in uploads.by_key.values():
        shown: set[tuple[str, str]] = set()
        for upload in versions:
            if upload.oracle == "bad":
                continue
            for pipeline, claim in claims.get(upload.id, {}).items():
                if (claim.body or {}).get("state") != "done":
                    continue
                for expected in upload.expected_of(pipeline):
                    if (pipeline, expected.key) in shown:
                        continue  # a newer one is done; this one need not show
                    shown.add((pipeline, expected.key))
                    current = results.current.get(expected.key)
                    owner = results.owner(current) if current else None
                    is_older = (
                        owner is not None and owner.key == upload.key and owner.rank > upload.rank
                    )
                    if is_older and not upload.is_current and owner is not None:
                        verdict.add(
                            "out_of_order",
                            upload.key,
                            upload.identity,
                            f"{expected.key} shows {owner.identity}, which is older",
                        )


def _judge_results(results: _Results, uploads: Uploads, verdict: Verdict) -> None:
    stored_by_key: dict[str, list[ResultVersion]] = defaultdict(list)
    for version in results.stored:
        verdict.results += 1
        stored_by_key[version.key].append(version)
        source = version.metadata.get(META_SOURCE, "")
        owner = results.owner(version)
        if owner is None:
            verdict.add("unexpected", version.key, source, "a result of no listed upload")
            continue
        pipeline = version.metadata.get(META_PIPELINE, "")
        expected = {result.key: result for result in owner.expected_of(pipeline)}
        if owner.oracle in ("bad", "unrouted"):
            kind = "wrong" if owner.oracle == "bad" else "unexpected"
            verdict.add(kind, version.key, source, f"a result of an upload that is {owner.oracle}")
        elif owner.pipelines and version.key not in expected:
            reason = f"{pipeline} of {owner.key} should not write here"
            verdict.add("unexpected", version.key, source, reason)
        elif version.key in expected:
            wanted = expected[version.key].verify
            if problem := mismatch(wanted, version):
                verdict.add("wrong", version.key, source, problem)
    for key, stored in stored_by_key.items():
        _judge_repeats(key, stored, results, uploads, verdict)


def _judge_repeats(
    key: str,
    stored: Sequence[ResultVersion],
    results: _Results,
    uploads: Uploads,
    verdict: Verdict,
) -> None:
    """Each upload's result is stored once per definition of its pipeline.

    Excused is the result of one upload whose bytes are also those of another upload's result
    under the key: a swap compares ETags, which are equal then, so a repair may store the
    right bytes once more. Distinct contents, which a run should use, excuse nothing.
    """
    made_of: dict[tuple[str, str], list[ResultVersion]] = defaultdict(list)
    for version in stored:
        source, digest = (version.metadata.get(name, "") for name in (META_SOURCE, META_DIGEST))
        made_of[source, digest].append(version)
    for (source, digest), versions in made_of.items():
        allowed = uploads.times_uploaded(results.owner(versions[0]))
        if len(versions) <= allowed:
            continue
        others = {
            version.sha256
            for made, others in made_of.items()
            if made != (source, digest)
            for version in others
        }
        if not {version.sha256 for version in versions} <= others:
            reason = f"stored {len(versions)} times for {allowed} uploads"
            verdict.add("duplicated", key, source, reason)


def mismatch(wanted: str, version: ResultVersion) -> str:
    """Why a stored result is not what the oracle said; "" if it is."""
    if version.size_bytes == 0:
        return "the result is empty"
    kind, _, rest = wanted.partition(":")
    if kind == "any":
        return ""
    if kind == "sha256":
        return "" if version.sha256 == rest else f"sha256 is {version.sha256}, not {rest}"
    if fnmatchcase(version.shape, wanted):
        return ""
    return f"it is {version.shape or 'of no known kind'}, not {wanted}"
