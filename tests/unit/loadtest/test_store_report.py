"""A report in a bucket: what is put there under which name, and what is said where it cannot be."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from example_run import example_run
from hypothesis import given
from hypothesis import strategies as st

from loadtest.__main__ import main
from loadtest.conduct.store_report import (
    NotStored,
    Place,
    check_place,
    read_place,
    store_report,
)
from loadtest.runs.folder import load_run, save_run

PLACE = Place("results", ".marea/loadtest/")
RUN = replace(example_run(seconds=10.0), scenario="spike", began_at=1_784_021_405.0)
PUT_PARAMETERS = ("Bucket", "Key", "Body", "ContentType")
FOLDER = ".marea/loadtest/spike-20260714T093005Z/"


def make_client() -> Any:
    """Of nowhere: what it is asked is answered by a Stubber."""
    return boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    save_run(RUN, tmp_path)
    (tmp_path / "report.html").write_text("<!doctype html>\n")
    (tmp_path / "report.png").write_bytes(b"\x89PNG and more")
    (tmp_path / "history.jsonl").write_text("{}\n")
    (tmp_path / "locust.log").write_text("not a part of it\n")
    return tmp_path


def test_everything_a_report_is_made_of_is_put_and_run_json_last(written: Path) -> None:
    client = make_client()
    put: dict[str, tuple[bytes, str]] = {}

    def keep(params: dict[str, Any], **_: Any) -> None:
        body = params["Body"]
        assert isinstance(body, io.BufferedReader)
        put[params["Key"]] = (body.read(), params["ContentType"])
        body.seek(0)

    client.meta.events.register("provide-client-params.s3.PutObject", keep)
    with Stubber(client) as stub:
        for _ in range(8):
            stub.add_response("put_object", {}, dict.fromkeys(PUT_PARAMETERS, ANY))
        address = store_report(client, PLACE, RUN, written)
        stub.assert_no_pending_responses()
    assert address == f"s3://results/{FOLDER}"
    names = [key.removeprefix(FOLDER) for key in put]
    tables = {"decisions.jsonl", "history.jsonl", "jobs.jsonl", "samples.jsonl", "sends.jsonl"}
    assert set(names) == {"report.html", "report.png", "run.json", *tables}
    assert names[-1] == "run.json"
    assert put[f"{FOLDER}report.html"][1].startswith("text/html")
    assert put[f"{FOLDER}report.png"][0] == (written / "report.png").read_bytes()


def test_what_was_put_is_the_run_again(written: Path, tmp_path: Path) -> None:
    client, copy = make_client(), tmp_path / "fetched"
    copy.mkdir()

    def keep(params: dict[str, Any], **_: Any) -> None:
        (copy / params["Key"].removeprefix(FOLDER)).write_bytes(params["Body"].read())
        params["Body"].seek(0)

    client.meta.events.register("provide-client-params.s3.PutObject", keep)
    with Stubber(client) as stub:
        for _ in range(8):
            stub.add_response("put_object", {})
        store_report(client, PLACE, RUN, written)
    assert load_run(copy) == load_run(written)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDenied", "s3:PutObject there (`marea store policies loadtest`)"),
        ("NoSuchBucket", "there is no such bucket"),
        ("SlowDown", "SlowDown"),
    ],
)
def test_a_store_that_refuses_is_told_with_where_the_report_is(
    written: Path, code: str, words: str
) -> None:
    client = make_client()
    with Stubber(client) as stub:
        stub.add_client_error("put_object", code)
        with pytest.raises(NotStored) as told:
            store_report(client, PLACE, RUN, written)
    assert words in str(told.value)
    assert f"s3://results/{FOLDER}: decisions.jsonl" in str(told.value)
    assert str(told.value).endswith(f"it is in {written}")


@pytest.mark.parametrize(
    ("code", "words"),
    [("NoSuchBucket", "there is no such bucket"), ("AccessDenied", "needs s3:ListBucket there")],
)
def test_a_bucket_that_is_not_there_is_told_before_the_run(code: str, words: str) -> None:
    client = make_client()
    with Stubber(client) as stub:
        stub.add_client_error("list_objects_v2", code)
        with pytest.raises(NotStored, match=rf"--store-report.*{words}"):
            check_place(client, PLACE)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://results/.marea/loadtest/", PLACE),
        ("s3://results/.marea/loadtest", PLACE),
        ("s3://results/", Place("results", "")),
    ],
)
def test_an_address_is_a_bucket_and_a_folder(address: str, place: Place) -> None:
    assert read_place(address) == place


@given(
    st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True),
    st.lists(st.from_regex(r"[A-Za-z0-9._-]+", fullmatch=True), max_size=4),
)
def test_an_address_that_was_read_is_written_the_same(bucket: str, folders: list[str]) -> None:
    address = f"s3://{bucket}/" + "".join(f"{folder}/" for folder in folders)
    assert read_place(address).address == address


@pytest.mark.parametrize(
    "address", ["results", "s3://", "s3:///a/", "http://results/a/", "s3://R/a", "s3://results//a/"]
)
def test_what_is_no_address_is_told_with_one_that_is(address: str) -> None:
    with pytest.raises(ValueError, match=r"not a place in a bucket; write s3://BUCKET/PREFIX/"):
        read_place(address)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--store-report", "results", "--env", "-"), "not a place in a bucket"),
        (("--store-report", "s3://results/"), "--store-report needs --env"),
    ],
)
def test_the_command_says_so_before_it_does_anything(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "short", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_platform_that_does_not_come_is_waited_for_and_given_up_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:1",
        "MAREA_STORE__ACCESS_KEY": "k",
        "MAREA_STORE__SECRET_KEY": "s",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, text)
    out = str(tmp_path / "out")
    assert main(["run", "short", "--env", "-", "--out", out, "--wait", "0.01"]) == 2
    told = capsys.readouterr().err
    assert "nothing answers at http://127.0.0.1:1" in told
    assert "so it was for 0.01 s (--wait)" in told
