"""Where a load goes, by the variables that a platform leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.collect import StoreAddress
from loadtest.platform import load_environment
from loadtest.target import Target, as_environment, target_of
from marea.up.layout import write_environment

UP = {
    "MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:9000",
    "MAREA_STORE__ACCESS_KEY": "marea",
    "MAREA_STORE__SECRET_KEY": "it's a 'secret' $1",
    "MAREA_GATEWAY__PORT": "8080",
    "MAREA_GATEWAY__API_TOKENS": json.dumps({"up:read+submit+admin": "token-1"}),
}
"""The names of `marea up`."""
STORE = StoreAddress("http://127.0.0.1:9000", "marea", "it's a 'secret' $1")


def test_the_file_that_marea_up_writes_leads_to_it(tmp_path: Path) -> None:
    file = write_environment(tmp_path, UP)
    target = target_of(load_environment(file))
    assert target == Target(STORE, "uploads", "results", "http://127.0.0.1:8080", "token-1")


def test_what_is_handed_to_the_sender_is_read_back() -> None:
    target = Target(STORE, "in", "out", "http://gateway:1", "token-2")
    assert target_of(as_environment(target)) == target
    assert target_of(as_environment(Target(STORE))) == Target(STORE)


def test_a_named_gateway_token_and_buckets_come_first() -> None:
    own = {
        "LOADTEST_GATEWAY_URL": "https://load.example/",
        "LOADTEST_API_TOKEN": "token-3",
        "LOADTEST_SOURCE_BUCKET": "in",
        "LOADTEST_RESULTS_BUCKET": "out",
    }
    wanted = Target(STORE, "in", "out", "https://load.example", "token-3")
    assert target_of({**UP, **own}) == wanted


def test_secrets_are_read_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n", encoding="utf-8")
    (tmp_path / "token").write_text("token-4\n", encoding="utf-8")
    files = {
        "MAREA_STORE__ACCESS_KEY_FILE": str(tmp_path / "key"),
        "MAREA_STORE__SECRET_KEY_FILE": str(tmp_path / "key"),
        "LOADTEST_API_TOKEN_FILE": str(tmp_path / "token"),
    }
    target = target_of({**UP, **files})
    assert (target.store.access_key, target.store.secret_key) == ("from-file", "from-file")
    assert target.api_token == "token-4"


def test_a_secrets_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    with pytest.raises(ValueError, match="MAREA_STORE__SECRET_KEY_FILE") as caught:
        target_of({**UP, "MAREA_STORE__SECRET_KEY_FILE": str(missing)})
    assert str(missing) in str(caught.value)


def test_where_no_store_is_known_that_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="no store is known") as caught:
        target_of({"PATH": "/bin", "MAREA_GATEWAY__PORT": "8080"})
    assert "--env FILE" in str(caught.value)


def test_a_key_without_an_address_is_one_for_aws() -> None:
    keys = {"MAREA_STORE__ACCESS_KEY": "a", "MAREA_STORE__SECRET_KEY": "b"}
    target = target_of({**keys, "MAREA_STORE__REGION": "eu-south-2"})
    assert target.store == StoreAddress(None, "a", "b", "eu-south-2")
    assert (target.gateway_url, target.api_token) == ("", "")


@pytest.mark.parametrize(
    ("tokens", "token"),
    [
        ('{"reader:read": "r", "sender:submit": "s"}', "s"),
        ('{"reader:read": "r"}', ""),
        ("{}", ""),
        ("no json", ""),
        ("[1]", ""),
    ],
)
def test_a_token_is_taken_only_if_it_may_submit(tokens: str, token: str) -> None:
    assert target_of({**UP, "MAREA_GATEWAY__API_TOKENS": tokens}).api_token == token
