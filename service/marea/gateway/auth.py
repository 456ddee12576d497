"""Who asks: one token for the store's events, and tokens with scopes for the API.

Tokens are compared as digests, each with each, so that neither their content nor their number
shows in the time it takes. MinIO's event token is a static bearer without signature or
timestamp: a replay cannot be told from the event, only made harmless, which job ids do.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import SecretStr

from marea.errors import ConfigError
from marea.gateway.http_errors import NotAllowed, NotAuthentic

Scope = Literal["read", "submit", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_VARIABLE = "MAREA_GATEWAY__API_TOKENS"


@dataclass(frozen=True, slots=True)
class Token:
    """A token's digest, its owner's name, and what it may do."""

    name: str
    scopes: frozenset[str]
    digest: bytes


def parse_tokens(api_tokens: Mapping[str, SecretStr]) -> tuple[Token, ...]:
    """The setting's `{"name:scope+scope": secret}`. Raises `ConfigError`, secrets untold."""
    problems: list[str] = []
    tokens: list[Token] = []
    for label, secret in api_tokens.items():
        name, _, listed = label.partition(":")
        scopes = frozenset(listed.split("+"))
        unknown = sorted(scopes.difference(SCOPES))
        if not name or unknown:
            problems.append(
                f"{_VARIABLE}: {label!r} must be name:scope+scope, scopes being {', '.join(SCOPES)}"
            )
        if not secret.get_secret_value():
            problems.append(f"{_VARIABLE}: the token of {label!r} is empty; set one")
        tokens.append(Token(name, scopes, _digest(secret.get_secret_value())))
    if len({token.digest for token in tokens}) < len(tokens):
        problems.append(f"{_VARIABLE}: two names have the same token; make them different")
    if problems:
        raise ConfigError(problems)
    return tuple(tokens)


class Gatekeeper:
    """Decides on the `Authorization` header of a request."""

    def __init__(self, event_token: SecretStr, api_tokens: Mapping[str, SecretStr]) -> None:
        self._event_digest = _digest(event_token.get_secret_value())
        self._has_event_token = bool(event_token.get_secret_value())
        self._tokens = parse_tokens(api_tokens)

    def admit_event(self, authorization: str | None) -> None:
        """Raises `NotAuthentic`."""
        given = _presented(authorization)
        is_equal = hmac.compare_digest(_digest(given), self._event_digest)
        if not (is_equal and self._has_event_token):
            raise NotAuthentic(
                "the event's token is not the one in MAREA_GATEWAY__EVENT_TOKEN"
                if self._has_event_token
                else "events are not accepted: MAREA_GATEWAY__EVENT_TOKEN is not set"
            )

    def admit(self, authorization: str | None, scope: Scope) -> str:
        """The name of the token's owner. Raises `NotAuthentic`, `NotAllowed`."""
        given = _digest(_presented(authorization))
        owner: Token | None = None
        for token in self._tokens:  # no early end: which one matched is nobody's business
            if hmac.compare_digest(given, token.digest):
                owner = token
        if owner is None:
            raise NotAuthentic(f"send a token as 'Authorization: Bearer …'; see {_VARIABLE}")
        if scope not in owner.scopes:
            raise NotAllowed(f"the token of {owner.name!r} lacks the scope {scope!r}")
        return owner.name


def _presented(authorization: str | None) -> str:
    """The token in a header, "" if there is none.

    Basic counts too, its password being the token: SNS and Ceph can only put credentials
    into the endpoint's address.
    """
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
