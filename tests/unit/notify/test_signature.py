"""Signatures as a receiver checks them."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.notify.signature import sign, verify

NOW = 1_700_000_000


def test_signs_the_time_a_full_stop_and_the_body() -> None:
    expected = hmac.new(b"key", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert sign("key", NOW, b"{}") == f"t=1700000000,v1={expected}"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.binary())
def test_verifies_what_was_signed_and_nothing_else(secret: str, body: bytes) -> None:
    signature = sign(secret, NOW, body)
    assert verify(secret, signature, body, now=NOW)
    assert not verify(secret, signature, body + b" ", now=NOW)
    assert not verify(secret + "x", signature, body, now=NOW)
    assert not verify(secret, signature.replace(f"t={NOW}", f"t={NOW + 1}"), body, now=NOW)


def test_refuses_a_signature_out_of_its_time() -> None:
    signature = sign("key", NOW, b"{}")
    assert verify("key", signature, b"{}", now=NOW + 300)
    assert not verify("key", signature, b"{}", now=NOW + 301)
    assert not verify("key", signature, b"{}", now=NOW - 301)


def test_accepts_either_of_two_secrets_while_one_is_replaced() -> None:
    new, old = sign("new", NOW, b"{}"), sign("old", NOW, b"{}").split(",")[1]
    both = f"{new}, {old}"
    assert verify("old", both, b"{}", now=NOW)
    assert verify("new", both, b"{}", now=NOW)
    assert not verify("other", both, b"{}", now=NOW)


def test_an_empty_secret_verifies_nothing() -> None:
    assert not verify("", sign("", NOW, b"{}"), b"{}", now=NOW)


@pytest.mark.parametrize(
    "signature", ["", "t=", "v1=00", "t=x,v1=00", "t=²,v1=00", f"t={NOW},v1=ñ", f"t={NOW},t={NOW}"]
)
def test_refuses_a_header_that_is_none(signature: str) -> None:
    assert not verify("key", signature, b"{}", now=NOW)


@given(st.text())
def test_never_raises_for_any_header(signature: str) -> None:
    assert not verify("key", signature, b"{}", now=NOW)
