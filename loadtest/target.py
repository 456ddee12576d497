"""Where a load goes: the store, the gateway if there is one to reach, the buckets.

Read from the MAREA_ variables that `marea up` and `make cluster` write, and a few of this
package's own: what a client needs and the platform's settings do not hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.collect import StoreAddress

GATEWAY_URL, API_TOKEN = "LOADTEST_GATEWAY_URL", "LOADTEST_API_TOKEN"
SOURCE_BUCKET, RESULTS_BUCKET = "LOADTEST_SOURCE_BUCKET", "LOADTEST_RESULTS_BUCKET"
CAPTURED = ("MAREA_", "LOADTEST_")
"""Variables that say where a platform is."""


@dataclass(frozen=True, slots=True)
class Target:
    """One platform, as its clients see it."""

    store: StoreAddress
    source_bucket: str = "uploads"
    results_bucket: str = "results"
    gateway_url: str = ""
    """"" = no gateway is known: uploads go straight to the bucket alone."""
    api_token: str = ""


def target_of(environment: Mapping[str, str]) -> Target:
    """The platform that these variables tell of. Raises `ValueError` with a sentence."""
    endpoint = environment.get("MAREA_STORE__ENDPOINT_URL", "")
    access_key = _secret(environment, "MAREA_STORE__ACCESS_KEY")
    secret_key = _secret(environment, "MAREA_STORE__SECRET_KEY")
    if not endpoint and not access_key:
        raise ValueError(
            "no store is known: load the platform's variables (set -a; . .marea/marea.env), or"
            " give --env FILE"
        )
    gateway_url = environment.get(GATEWAY_URL, "")
    port = environment.get("MAREA_GATEWAY__PORT", "")
    if not gateway_url and port:  # as `marea up` writes it, for this machine
        gateway_url = f"http://127.0.0.1:{port}"
    return Target(
        StoreAddress(
            endpoint or None,
            access_key,
            secret_key,
            environment.get("MAREA_STORE__REGION", "us-east-1"),
        ),
        environment.get(SOURCE_BUCKET, "uploads"),
        environment.get(RESULTS_BUCKET, "results"),
        gateway_url.rstrip("/"),
        _secret(environment, API_TOKEN) or _token(environment),
    )


def environment_for(target: Target) -> dict[str, str]:
    """For a child: this process's variables, with `target` as all that tells of a platform."""
    own = {name: text for name, text in os.environ.items() if not name.startswith(CAPTURED)}
    return {**own, **as_environment(target)}


def as_environment(target: Target) -> dict[str, str]:
    """What `target_of` reads back: for the process that sends."""
    return {
        "MAREA_STORE__ENDPOINT_URL": target.store.endpoint_url or "",
        "MAREA_STORE__ACCESS_KEY": target.store.access_key,
        "MAREA_STORE__SECRET_KEY": target.store.secret_key,
        "MAREA_STORE__REGION": target.store.region,
        GATEWAY_URL: target.gateway_url,
        API_TOKEN: target.api_token,
        SOURCE_BUCKET: target.source_bucket,
        RESULTS_BUCKET: target.results_bucket,
    }


def _secret(environment: Mapping[str, str], name: str) -> str:
    """A variable, or the file that `<name>_FILE` names, as the platform reads its own."""
    if file := environment.get(f"{name}_FILE"):
        try:
            with open(file, encoding="utf-8") as secret:
                return secret.read().strip()
        except OSError as exc:
            raise ValueError(f"{name}_FILE: {file} cannot be read: {exc.strerror}") from exc
    return environment.get(name, "")


def _token(environment: Mapping[str, str]) -> str:
    """A token that may submit, of those that the gateway was given."""
    try:
        tokens = json.loads(environment.get("MAREA_GATEWAY__API_TOKENS", "{}"))
        return next((str(text) for name, text in tokens.items() if "submit" in name), "")
    except (ValueError, AttributeError):
        return ""
