"""The user, the rights and the policy that docs/rabbitmq.md tells to make, on a running server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from marea.up.rabbitmq_server import RabbitMqServer

PAGE = Path(__file__).parents[1] / "docs" / "rabbitmq.md"
LIMITED_USER, LIMITED_PASSWORD = "limited", "limited"
CONSUMER_TIMEOUT_SINCE = (3, 12)


def documented_definitions() -> dict[str, Any]:
    """The JSON of the page."""
    (text,) = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    definitions: dict[str, Any] = json.loads(text)
    return definitions


def make_documented_user(server: RabbitMqServer, vhost: str) -> str:
    """In a virtual host that exists; the URL for that user."""
    definitions = documented_definitions()
    (user,), (rights,) = definitions["users"], definitions["permissions"]
    place = quote(vhost, safe="")
    server.ask_management(
        "PUT",
        f"/api/users/{LIMITED_USER}",
        {"password": LIMITED_PASSWORD, "tags": ",".join(user["tags"])},
    )
    server.ask_management("PUT", f"/api/permissions/{place}/{LIMITED_USER}", rights)
    version = server.ask_management("GET", "/api/overview")["rabbitmq_version"]
    for policy in definitions["policies"]:
        if tuple(map(int, version.split(".")[:2])) < CONSUMER_TIMEOUT_SINCE:
            del policy["definition"]["consumer-timeout"]
        server.ask_management("PUT", f"/api/policies/{place}/{policy['name']}", policy)
    return f"amqp://{LIMITED_USER}:{LIMITED_PASSWORD}@127.0.0.1:{server.port}/{place}"
