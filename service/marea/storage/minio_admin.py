"""MinIO's admin API, as far as Marea needs it: users, their policies, the targets of events.

Users come by way of `import-iam`, an archive of plain JSON. The other way, `add-user`, wants the
body encrypted with Argon2: two more libraries in the image, one of which (cffi) makes each
worker 13 MB larger. So secrets cross the network as the body of a signed request; where
others can listen, the store's address is `https://`.

    PUT import-iam ── policies.json ── users.json ── user_mappings.json
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from marea.errors import MareaError, StoreUnavailable
from marea.settings import StoreSettings
from marea.storage.policies import Document

_PREFIX = "/minio/admin/v3/"


class NoAdminApi(MareaError):
    """The store is no MinIO, or does not let this key administer it; the sentence says which."""

    code = "store-no-admin-api"


@dataclass(frozen=True, slots=True)
class MinioUser:
    """What the store tells of a user."""

    policies: frozenset[str]
    is_enabled: bool


class MinioAdmin:
    """Calls the admin API of the store at `settings.endpoint_url` with its access key.

    Raises `StoreUnavailable` when it does not answer, and `NoAdminApi`.
    """

    def __init__(self, settings: StoreSettings) -> None:
        from botocore.auth import S3SigV4Auth
        from botocore.credentials import Credentials
        from botocore.httpsession import URLLib3Session
        from botocore.session import get_session
        from botocore.utils import get_environ_proxies

        self._address = (settings.endpoint_url or "").rstrip("/")
        keys = Credentials(settings.access_key, settings.secret_key.get_secret_value())
        self._auth = S3SigV4Auth(keys, "s3", settings.region)
        timeouts: Any = (settings.connect_timeout_s, settings.read_timeout_s)
        self._session = URLLib3Session(
            # As for every other request to the store: AWS_CA_BUNDLE, HTTP_PROXY and so on.
            verify=get_session().get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(self._address),
            timeout=timeouts,
        )

    def event_targets(self) -> tuple[str, ...]:
        """ARNs of the targets that bucket events can be sent to."""
        return tuple(self._ask("GET", "info").get("sqsARN") or ())

    def policy(self, name: str) -> Document | None:
        """The policy of that name, if there is one."""
        try:
            return dict(self._ask("GET", f"info-canned-policy?name={quote(name, safe='')}"))
        except _Absent:
            return None

    def user(self, access_key: str) -> MinioUser | None:
        """The user with that access key, if there is one."""
        try:
            found = self._ask("GET", f"user-info?accessKey={quote(access_key, safe='')}")
        except _Absent:
            return None
        names = str(found.get("policyName") or "").split(",")
        return MinioUser(frozenset(name for name in names if name), found["status"] == "enabled")

    def put_policy(self, name: str, document: Document) -> None:
        """Make or replace the policy `name`."""
        self._import({"policies.json": {name: document}})

    def put_user(self, access_key: str, secret: str, policy: str) -> None:
        """Make the user, or set its secret; enabled, with `policy` as its only one."""
        user = {"secretKey": secret, "status": "enabled"}
        mapping = {"version": 1, "policy": policy}
        self._import(
            {"users.json": {access_key: user}, "user_mappings.json": {access_key: mapping}}
        )

    def _import(self, files: dict[str, dict[str, Any]]) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as writer:
            for name, content in files.items():
                writer.writestr(f"iam-assets/{name}", json.dumps(content))
        self._ask("PUT", "import-iam", archive.getvalue())

    def _ask(self, method: str, call: str, body: bytes = b"") -> Any:
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError, HTTPClientError

        request = AWSRequest(method=method, url=f"{self._address}{_PREFIX}{call}", data=body)
        # The server signs over this header; S3SigV4Auth reads it from the context.
        request.context["payload_signing_enabled"] = True
        try:
            self._auth.add_auth(request)
            reply = self._session.send(request.prepare())
            content: bytes = reply.content
        except (BotoCoreError, HTTPClientError, OSError) as exc:
            raise StoreUnavailable(f"The store's admin API did not answer: {exc}") from exc
        if reply.status_code >= 300:
            raise _error(call.partition("?")[0], reply.status_code, content)
        try:
            return json.loads(content) if content.strip() else {}
        except ValueError as exc:
            raise NoAdminApi(
                "The store has no MinIO admin API: what it answers is not JSON."
            ) from exc


class _Absent(MareaError):
    """No user or policy of that name."""


def _error(call: str, status: int, content: bytes) -> MareaError:
    """Told by the code in the body: other stores answer XML, or a page of their own."""
    try:
        body = json.loads(content)
        code, message = str(body["Code"]), str(body.get("Message", ""))
    except (ValueError, KeyError, TypeError):
        if status >= 500 and status != 501:
            return StoreUnavailable(f"The store's admin API answered {status} to {call}.")
        return NoAdminApi(f"The store has no MinIO admin API (it answered {status} to {call}).")
    if code in ("XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy"):
        return _Absent(message)
    if status in (401, 403):
        return NoAdminApi(
            f"The store has MinIO's admin API and forbids {call} to this access key ({code}): use"
            " the root key, or one with the policy consoleAdmin."
        )
    if status >= 500:
        return StoreUnavailable(f"The store's admin API answered {status} to {call}: {message}")
    return NoAdminApi(f"The store's admin API refused {call}: {status} {code} {message}".rstrip())
