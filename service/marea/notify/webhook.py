"""Sends notifications by HTTP POST. The only importer of httpx.

One request per call, no retries here: the outbox decides when to try again. Delivery is
at-least-once, so the receiver may see a `Marea-Delivery` id twice; see signature.py for what
it should check.
"""

from __future__ import annotations

import json
import ssl
import threading

import httpx

from marea import __version__
from marea.clock import Clock
from marea.errors import PermanentError, TransientError
from marea.messages.notification import Notification
from marea.notify.signature import DELIVERY_HEADER, SIGNATURE_HEADER, sign
from marea.settings import NotifySettings

TRY_AGAIN_STATUSES = frozenset({408, 425, 429})
"""The refusals that mean "not now": request timeout, too early, too many requests."""


class WebhookNotifier:
    """The `Notifier` port on HTTP. Safe to share between threads."""

    def __init__(self, settings: NotifySettings, clock: Clock) -> None:
        """An empty `secret` sends unsigned."""
        self._settings = settings
        self._clock = clock
        self._tls = ssl.create_default_context()  # 20 ms to build, so built once

    def send(self, notification: Notification) -> None:
        """POST the body as JSON to the notification's address; 2xx is delivered.

        Raises `PermanentError` (code `notify-refused`) for a 4xx that will not change and for
        an address that is none; `TransientError` for every other status, redirects included
        (a signed body is not carried to an address that nobody configured), and when there
        is no answer within the timeout. The answer's body is not read.
        """
        # ASCII, since a key may hold what UTF-8 has no bytes for.
        body = json.dumps(dict(notification.body), separators=(",", ":")).encode()
        status = self._post(notification.url, body, self._headers(notification, body))
        if 200 <= status < 300:
            return
        if 400 <= status < 500 and status not in TRY_AGAIN_STATUSES:
            raise PermanentError(
                f"the webhook answered {status}: it does not want delivery {notification.id}",
                code="notify-refused",
            )
        raise TransientError(f"the webhook answered {status} to delivery {notification.id}")

    def _headers(self, notification: Notification, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"marea/{__version__}",
            DELIVERY_HEADER: notification.id,
        }
        secret = self._settings.secret.get_secret_value()
        if secret:
            headers[SIGNATURE_HEADER] = sign(secret, int(self._clock.now()), body)
        return headers

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer."""
        # A client per request, so that the deadline can close it. httpx's own timeout starts
        # anew with each byte: a receiver that sends one now and then would hold the outbox.
        client = httpx.Client(
            timeout=self._settings.timeout_s,
            verify=self._tls,
            follow_redirects=False,
            trust_env=False,  # only marea.settings reads the environment
        )
        deadline = threading.Timer(self._settings.timeout_s, client.close)
        deadline.daemon = True
        deadline.start()
        try:
            with client.stream("POST", url, content=body, headers=headers) as response:
                return response.status_code
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
            raise PermanentError(
                f"the webhook's address cannot be used: {exc}", code="notify-refused"
            ) from exc
        except (httpx.HTTPError, OSError, RuntimeError) as exc:
            # RuntimeError: what httpx says when the deadline closed the client.
            raise TransientError(f"the webhook did not answer: {exc!r}") from exc
        finally:
            deadline.cancel()
            client.close()
