"""Passwords: made up where nobody gave one, never the same, never where others can read them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from render import Object, find, find_all, name_of, pods, refusal, render, render_anew

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
RABBITMQ = CLUSTERLESS | {"broker": {"kind": "rabbitmq"}}
GENERATED = re.compile(r"[A-Za-z0-9]{32}")
"""190 bits, of characters that no configuration file has to quote."""
NAMES = {"marea-store/root-user"}
"""Not secret: a user's name."""


def secrets(objects: list[Object]) -> dict[str, str]:
    """`name/key` → text of every Secret."""
    return {
        f"{name_of(thing)}/{key}": base64.b64decode(value).decode()
        for thing in find_all(objects, "Secret")
        for key, value in thing["data"].items()
    }


def test_each_is_made_up_for_itself_and_anew() -> None:
    first, second = (secrets(render_anew(RABBITMQ)) for _ in range(2))
    assert first.keys() == second.keys()
    assert len(first) >= 9
    assert {key for key in first if first[key] == second[key]} == NAMES
    made_up = {**first}
    tokens = json.loads(made_up.pop("marea-gateway/api-tokens"))
    made_up |= tokens
    values = [value for key, value in made_up.items() if key not in NAMES]
    assert len(set(values)) == len(values)
    assert all(GENERATED.fullmatch(value) for value in values)


def test_none_stands_anywhere_but_in_its_secret(objects: list[Object]) -> None:
    kept = [value for key, value in secrets(objects).items() if key not in NAMES]
    written = json.dumps([thing for thing in objects if thing["kind"] != "Secret"])
    assert [value for value in kept if value in written] == []


def test_no_pod_carries_a_password_in_its_own_text(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
            for entry in container.get("env", ()):
                secret = re.search(r"PASSWORD|SECRET_KEY|TOKEN|AUTH", entry["name"])
                if secret and not entry["name"].endswith("_FILE"):
                    told = "valueFrom" in entry or re.fullmatch(r"\$\(\w+\)", entry["value"])
                    assert told, (name_of(owner), entry["name"])


def test_no_address_carries_one(objects: list[Object]) -> None:
    written = json.dumps([thing for thing in objects if thing["kind"] != "Secret"])
    assert re.findall(r"[a-z]+://[^/@\s\"]*:[^/@\s\"]+@", written) == []


def test_secret_files_are_not_for_everybody(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for volume in pod["spec"].get("volumes", ()):
            source = volume.get("secret") or volume.get("projected")
            if source and not volume["name"].startswith("ca-"):
                assert source["defaultMode"] == 0o440, (name_of(owner), volume["name"])


def test_without_a_cluster_it_asks_for_secrets_instead_of_making_them_up() -> None:
    told = refusal({"broker": {"kind": "rabbitmq"}})
    assert (
        "create Secrets and name them in gateway.existingSecret, store.bundled.existingSecret,"
        " valkey.existingSecret, rabbitmq.existingSecret" in told
    )
    assert "secrets.renderWithoutCluster=true" in told


def test_it_asks_only_for_those_that_are_missing() -> None:
    told = refusal({"gateway": {"existingSecret": "g"}, "valkey": {"existingSecret": "v"}})
    assert "name them in store.bundled.existingSecret;" in told


def test_with_a_cluster_nothing_is_asked() -> None:
    # What tells a cluster from none is that it lists kinds, not only versions.
    assert secrets(render(api_versions=["apps/v1/Deployment"]))


def test_with_secrets_of_ones_own_two_renderings_are_the_same_and_make_none() -> None:
    first, second = (render_anew(shape="gitops") for _ in range(2))
    assert first == second
    assert find_all(first, "Secret") == []


def test_the_uploaders_key_is_no_process_s() -> None:
    objects = render(CLUSTERLESS)
    for owner, pod in pods(objects):
        if owner["kind"] == "Deployment":
            assert "uploader" not in json.dumps(pod), name_of(owner)
    assert "uploader" in find(objects, "Secret", "marea-store")["data"]
