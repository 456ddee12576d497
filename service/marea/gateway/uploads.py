"""/v1/uploads: a form to upload one file by, and what became of it.

The file goes from the client to the store; the gateway only signs. Size and metadata are held
by the store, since they are part of what is signed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Response

from marea.clock import to_iso
from marea.gateway.http_errors import InvalidRequest
from marea.gateway.jobs import chosen_bucket, view_with_record
from marea.gateway.limits import json_body
from marea.gateway.parts import Gateway, GatewayDependency
from marea.gateway.upload_ticket import NONCE_METADATA, UploadTicket
from marea.gateway.views import UploadBody, UploadFormView, UploadView
from marea.routing.route import Plan, UploadFacts
from marea.storage.object_store import ObjectHead

SEARCHED_VERSIONS = 50
"""Of a key that was overwritten since: one HEAD each, newest first."""


def open_upload(
    gateway: GatewayDependency,
    body: Annotated[UploadBody, Depends(json_body(UploadBody))],
    response: Response,
) -> UploadFormView:
    """A presigned form. The event of the upload starts its jobs, as for any other upload."""
    bucket = chosen_bucket(gateway, body.bucket)
    limit_bytes = gateway.settings.upload_max_bytes
    max_bytes = body.max_bytes or limit_bytes
    if max_bytes > limit_bytes:
        raise InvalidRequest(f"max_bytes: at most {limit_bytes:,} bytes can be uploaded by form")
    if body.key.startswith(gateway.ports.rules.reserved_prefix):
        raise InvalidRequest("key: keys under the reserved prefix are Marea's own")
    own = [name for name in body.metadata if name.lower().startswith("marea-")]
    if own:
        raise InvalidRequest(f"metadata: names beginning with marea- are Marea's own: {own}")
    expires_s = gateway.settings.presign_expires_s
    expires_at = gateway.ports.clock.now() + expires_s
    ticket, upload_id = gateway.tickets.issue(bucket, body.key, expires_at)
    form = gateway.ports.store.presigned_post(
        bucket,
        body.key,
        expires_s=expires_s,
        min_bytes=0,
        max_bytes=max_bytes,
        content_type=body.content_type,
        metadata={**body.metadata, NONCE_METADATA: ticket.nonce},
    )
    status_url = f"/v1/uploads/{upload_id}"
    response.status_code = 201
    response.headers["Location"] = status_url
    return UploadFormView(
        upload_id=upload_id,
        url=form.url,
        fields=dict(form.fields),
        expires_at=to_iso(form.expires_at),
        max_bytes=max_bytes,
        status_url=status_url,
    )


def get_upload(gateway: GatewayDependency, upload_id: str) -> UploadView:
    """Whether the file has come, and its jobs. 404 for an id that was not given out here."""
    ticket = gateway.tickets.read(upload_id)
    head = _uploaded(gateway, ticket)
    if head is None:
        is_open = gateway.ports.clock.now() < ticket.expires_at
        return UploadView(
            upload_id=upload_id,
            status="waiting" if is_open else "expired",
            bucket=ticket.bucket,
            key=ticket.key,
        )
    plan = _plan(gateway, head)
    states = gateway.ports.ledger.load_many([job.id for job in plan.jobs])
    return UploadView(
        upload_id=upload_id,
        status="received",
        bucket=ticket.bucket,
        key=ticket.key,
        version_id=head.ref.version_id,
        outcome=plan.outcome,
        reason=plan.reason,
        jobs=[view_with_record(gateway, states[job.id]) for job in plan.jobs if job.id in states],
    )


def _uploaded(gateway: Gateway, ticket: UploadTicket) -> ObjectHead | None:
    """The version that came by the ticket's form, be it the current one or an older one."""
    store = gateway.ports.store
    head = store.head(ticket.bucket, ticket.key)
    if head is not None and head.metadata.get(NONCE_METADATA) == ticket.nonce:
        return head
    page = store.list_versions(ticket.bucket, prefix=ticket.key, limit=SEARCHED_VERSIONS)
    for row in page.rows:
        if row.ref.key != ticket.key or row.is_delete_marker or not row.ref.is_versioned:
            continue
        head = store.head_version(row.ref)
        if head is not None and head.metadata.get(NONCE_METADATA) == ticket.nonce:
            return head
    return None


def _plan(gateway: Gateway, head: ObjectHead) -> Plan:
    facts = UploadFacts(head.ref, head.last_modified, head.content_type, head.metadata)
    plan = gateway.ports.rules.plan(facts)
    if "tags" in plan.missing:
        plan = gateway.ports.rules.plan(replace(facts, tags=gateway.ports.store.tags(head.ref)))
    return plan
