"""The one question asked of RabbitMQ's management API: AMQP counts ready messages only."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request

from marea.errors import BacklogUnavailable


def count_unacked(management_url: str, vhost: str, timeout_s: float) -> dict[str, int | None]:
    """Delivered, unacknowledged messages per queue of `vhost`; the API lags by about 5 s. None
    for a queue younger than the last statistics, and for all where the server collects none
    (`management_metrics_collection`).

    `management_url` is `http://user:password@host:port`. Raises `BacklogUnavailable`: where
    the API is configured, its silence is unknown, not zero.
    """
    address = urllib.parse.urlsplit(management_url)
    host = address.netloc.rpartition("@")[2]
    user = urllib.parse.unquote(address.username or "guest")
    password = urllib.parse.unquote(address.password or "guest")
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 (the operator's own setting)
        f"{address.scheme}://{host}{address.path.rstrip('/')}/api/queues/"
        f"{urllib.parse.quote(vhost, safe='')}?columns=name,messages_unacknowledged",
        headers={"Authorization": f"Basic {login}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:  # noqa: S310
            rows = json.load(reply)
        return {
            row["name"]: None if count is None else int(count)
            for row in rows
            for count in [row.get("messages_unacknowledged")]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BacklogUnavailable(
            f"RabbitMQ's management API at {host} did not count the unacknowledged messages:"
            f" {exc}; look at MAREA_BROKER__MANAGEMENT_URL"
        ) from exc
