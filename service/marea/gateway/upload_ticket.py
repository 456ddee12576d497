"""Upload ids: where an upload will be, signed, so that nothing need be remembered.

A presigned form is answered before anything is uploaded, so there is no job to name yet. The
id holds bucket, key and a nonce that the form pins into the object's metadata; whoever has the
id can ask any gateway what became of that very upload, also after the ledger was lost.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from marea.gateway.http_errors import NotKnown

NONCE_METADATA = "marea-upload"
"""Name of the user metadata that ties an object to its form."""

_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class UploadTicket:
    """What an upload id says. `expires_at` is when its form stops being accepted."""

    bucket: str
    key: str
    nonce: str
    expires_at: float


class TicketOffice:
    """Signs and reads ids with a key made of `secrets_`: every gateway with the same settings
    reads the ids of every other, and a rotated token makes older ids unknown."""

    def __init__(self, secrets_: Iterable[str]) -> None:
        material = json.dumps(["marea upload id", *sorted(secrets_)]).encode()
        self._signing_key = hashlib.sha256(material).digest()

    def issue(self, bucket: str, key: str, expires_at: float) -> tuple[UploadTicket, str]:
        """A fresh ticket and its id."""
        ticket = UploadTicket(bucket, key, secrets.token_urlsafe(12), expires_at)
        body = json.dumps([bucket, key, ticket.nonce, expires_at], ensure_ascii=False).encode()
        return ticket, f"{_encode(body)}.{_encode(self._signature(body))}"

    def read(self, upload_id: str) -> UploadTicket:
        """Raises `NotKnown` for an id that this office did not sign."""
        head, _, tail = upload_id.partition(".")
        try:
            body, signature = _decode(head), _decode(tail)
        except ValueError:
            body, signature = b"", b""
        if not hmac.compare_digest(signature, self._signature(body)):
            raise NotKnown("no such upload id", code="upload-unknown")
        bucket, key, nonce, expires_at = json.loads(body)
        return UploadTicket(bucket, key, nonce, expires_at)

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._signing_key, body, "sha256")[:_SIGNATURE_BYTES]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
