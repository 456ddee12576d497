"""How a notification is signed, and how a receiver checks it. Pure.

    Marea-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" under the secret>

For a receiver, in any language:
1. take the raw bytes of the request's body, before any JSON parser touches them;
2. compute HMAC-SHA256, with the shared secret as key, of `t`, a full stop, and those bytes;
3. compare it, in constant time, with each `v1` (there may be several while a secret is
   being replaced); none equal: refuse with 401;
4. refuse a `t` further than five minutes from now: somebody may be replaying an old request;
5. remember `Marea-Delivery` for as long: a delivery may come more than once, with the same id.

In Python, `verify` below does 2 to 4.
"""

from __future__ import annotations

import hmac

SIGNATURE_HEADER = "Marea-Signature"
DELIVERY_HEADER = "Marea-Delivery"
TOLERANCE_S = 300.0
"""Clock skew and time on the way that a receiver forgives; what other webhook senders advise."""


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `Marea-Signature` for `body` sent at `timestamp` (unix seconds)."""
    return f"t={timestamp},v1={_digest(secret, str(timestamp), body)}"


def verify(
    secret: str, signature: str, body: bytes, *, now: float, tolerance_s: float = TOLERANCE_S
) -> bool:
    """Whether `signature`, a received header, is of `body` and of about `now`. Never raises
    for what a header may hold; an empty secret verifies nothing."""
    pairs = [part.strip().partition("=")[::2] for part in signature.split(",")]
    timestamps = [value for name, value in pairs if name == "t"]
    if not secret or len(timestamps) != 1 or not timestamps[0].isascii():
        return False
    if not timestamps[0].isdigit() or abs(now - int(timestamps[0])) > tolerance_s:
        return False
    expected = _digest(secret, timestamps[0], body).encode()
    given = [value.encode("utf-8", "replace") for name, value in pairs if name == "v1"]
    # A list, not a generator: how long it takes must not tell which one was equal.
    return any([hmac.compare_digest(expected, each) for each in given])  # noqa: C419


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
