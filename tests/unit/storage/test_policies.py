"""Least privilege, as documents; what stores make of them is tried in the integration tests."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest

from marea.storage.naming import intent_key, load_reports_prefix, probe_key
from marea.storage.policies import PROCESSES, normal_document, policy_documents

DOCUMENTS = policy_documents(("uploads", "more"), "results", ".marea/")
INTENT = f"arn:aws:s3:::results/{intent_key('.marea/', '0' * 32)}"
PROBE = f"arn:aws:s3:::results/{probe_key('.marea/')}"
REPORT = f"arn:aws:s3:::results/{load_reports_prefix('.marea/')}spike-1/report.html"
RECORD = "arn:aws:s3:::results/.marea/records/uploads/a.jpg!grayscale.0"


def allows(process: str, action: str, resource: str) -> bool:
    return any(
        fnmatchcase(action, allowed) and fnmatchcase(resource, pattern)
        for statement in DOCUMENTS[process]["Statement"]
        for allowed in statement["Action"]
        for pattern in statement["Resource"]
    )


def test_each_process_and_the_uploader_have_a_policy() -> None:
    assert tuple(DOCUMENTS) == PROCESSES


@pytest.mark.parametrize("process", PROCESSES)
def test_all_may_list_and_read_both_sides(process: str) -> None:
    for bucket in ("uploads", "more", "results"):
        assert allows(process, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
        assert allows(process, "s3:GetObject", f"arn:aws:s3:::{bucket}/a.jpg")


def test_nobody_but_the_reconciler_deletes_and_it_never_an_upload() -> None:
    for process in PROCESSES:
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
            assert not allows(process, action, "arn:aws:s3:::uploads/a.jpg")
            assert allows(process, action, "arn:aws:s3:::results/a.jpg") == (
                process == "reconciler" and action == "s3:DeleteObject"
            )


@pytest.mark.parametrize(
    ("process", "resource", "may"),
    [
        ("gateway", INTENT, True),
        ("gateway", PROBE, True),
        ("gateway", RECORD, False),
        ("gateway", "arn:aws:s3:::results/a.jpg", False),
        ("gateway", "arn:aws:s3:::uploads/a.jpg", True),
        ("worker", RECORD, True),
        ("worker", "arn:aws:s3:::uploads/a.jpg", False),
        ("reconciler", RECORD, True),
        ("reconciler", "arn:aws:s3:::uploads/a.jpg", False),
        ("uploader", "arn:aws:s3:::more/a.jpg", True),
        ("uploader", RECORD, False),
        ("uploader", REPORT, False),
        ("loadtest", "arn:aws:s3:::more/a.jpg", True),
        ("loadtest", REPORT, True),
        ("loadtest", RECORD, False),
        ("loadtest", INTENT, False),
        ("loadtest", PROBE, False),
        ("loadtest", "arn:aws:s3:::results/a.jpg", False),
    ],
)
def test_who_writes_what(process: str, resource: str, may: bool) -> None:
    assert allows(process, "s3:PutObject", resource) == may


@pytest.mark.parametrize("action", ["s3:GetObjectVersion", "s3:ListBucketVersions"])
def test_a_load_test_may_read_all_that_its_checker_judges(action: str) -> None:
    below = "/a.jpg" if "Object" in action else ""
    for bucket in ("uploads", "results"):
        assert allows("loadtest", action, f"arn:aws:s3:::{bucket}{below}")


def test_nobody_reaches_a_bucket_whose_name_begins_alike() -> None:
    for process in PROCESSES:
        assert not allows(process, "s3:GetObject", "arn:aws:s3:::uploads-private/a.jpg")
        assert not allows(process, "s3:ListBucket", "arn:aws:s3:::uploads-private")


def test_no_action_is_a_wildcard() -> None:
    for document in DOCUMENTS.values():
        for statement in document["Statement"]:
            assert all("*" not in action for action in statement["Action"])


def test_documents_that_mean_the_same_are_equal_however_they_are_written() -> None:
    document: dict[str, Any] = DOCUMENTS["worker"]
    rewritten = {
        "ID": "x",
        "Version": "2012-10-17",
        "Statement": [
            {**statement, "Sid": "", "Action": list(reversed(statement["Action"]))}
            for statement in reversed(document["Statement"])
        ],
    }
    assert normal_document(rewritten) == normal_document(document)
    assert normal_document(DOCUMENTS["gateway"]) != normal_document(document)
