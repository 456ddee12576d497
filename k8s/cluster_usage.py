"""What to do with the cluster that is up: lines to copy, and the file of variables they need.

The file gives Marea's own command on this machine the same addresses and passwords as the pods
have. It is readable by its owner alone and lies beside the one that `marea up` writes.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from cluster_install import NAMESPACE, RELEASE, Chart, Failed

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".marea" / "cluster.env"
GATEWAY_PORT = 8080
"""gateway.service.port of the chart."""


def how_to_use(chart: Chart, *, is_lab: bool) -> str:
    """Copy-paste lines; writes the file of variables if the machine can use it."""
    inside = "k8s/lab/lab exec " if is_lab else "k8s/kind/kind-cluster exec "
    lines = [
        "",
        "Look and try:",
        f"  {inside}kubectl -n {NAMESPACE} get pods",
        f"  {inside}helm -n {NAMESPACE} test {RELEASE}",
        f"  {inside}kubectl -n {NAMESPACE} exec deployment/{RELEASE}-reconciler -- marea status",
    ]
    if is_lab:
        write_environment(environment(chart))
        photo = "loadtest/demo/photos/cat.jpg"
        marea = f"{inside}.venv/bin/marea --env {ENVIRONMENT.relative_to(ROOT)}"
        lines += [
            "",
            "Upload a file, or a folder of them, and see what becomes of it:",
            f"  {marea} submit {photo} --wait",
            "",
            "With any S3 client, in the cluster's network:",
            f"  set -a; . {ENVIRONMENT.relative_to(ROOT)}; set +a",
            f"  {inside}aws s3 cp {photo} s3://uploads/",
            f"  {inside}aws s3 cp s3://results/cat_processed.jpg .",
            "",
            "A load on it, with a report (python -m loadtest scenarios tells which there are):",
            f"  {inside}.venv/bin/python -m loadtest run spike"
            f" --env {ENVIRONMENT.relative_to(ROOT)} --namespace {NAMESPACE}",
        ]
    else:
        lines += [
            "",
            "Upload a file: the second part of",
            f"  {inside}helm -n {NAMESPACE} get notes {RELEASE}",
        ]
    return "\n".join([*lines, "", "All of it away again:", "  make cluster-down"])


def write_environment(texts: Mapping[str, str]) -> None:
    """In the form of `marea up`: a shell and `marea --env` read the same."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    ENVIRONMENT.unlink(missing_ok=True)
    with os.fdopen(os.open(ENVIRONMENT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        for name, text in texts.items():
            file.write(f"{name}={shlex.quote(text)}\n")


def environment(chart: Chart) -> dict[str, str]:
    store = f"http://{chart.service_address(f'{RELEASE}-store')}:9000"
    gateway = f"http://{chart.service_address(f'{RELEASE}-gateway')}:{GATEWAY_PORT}"
    uploader = secret(chart, f"{RELEASE}-store", "uploader")
    valkey = f"redis://marea@{chart.service_address(f'{RELEASE}-valkey')}:6379"
    valkey_password = secret(chart, f"{RELEASE}-valkey", "password")
    broker = {
        "MAREA_BROKER__URL": f"{valkey}/0",
        "MAREA_BROKER__PASSWORD": valkey_password,
    }
    if chart.broker == "rabbitmq":
        host = chart.service_address(f"{RELEASE}-rabbitmq")
        broker = {
            "MAREA_BROKER__URL": f"amqp://marea@{host}:5672/marea",
            "MAREA_BROKER__MANAGEMENT_URL": f"http://marea@{host}:15672",
            "MAREA_BROKER__PASSWORD": secret(chart, f"{RELEASE}-rabbitmq", "password"),
        }
    return {
        "MAREA_STORE__ENDPOINT_URL": store,
        "MAREA_STORE__ACCESS_KEY": "marea-uploader",
        "MAREA_STORE__SECRET_KEY": uploader,
        **broker,
        "MAREA_LEDGER__URL": f"{valkey}/1",
        "MAREA_LEDGER__PASSWORD": valkey_password,
        "LOADTEST_GATEWAY_URL": gateway,
        "LOADTEST_API_TOKEN": token_for_load(secret(chart, f"{RELEASE}-gateway", "api-tokens")),
        "AWS_ENDPOINT_URL": store,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "marea-uploader",
        "AWS_SECRET_ACCESS_KEY": uploader,
    }


def token_for_load(api_tokens: str) -> str:
    """Of the gateway's tokens by `name:scope+scope`, one that may read and submit."""
    for name, token in json.loads(api_tokens).items():
        if {"read", "submit"} <= set(str(name).rpartition(":")[2].split("+")):
            return str(token)
    raise Failed(
        f"no token in api-tokens of Secret {RELEASE}-gateway may both read and submit, which a"
        " load needs: add one there, e.g. under load:read+submit"
    )


def secret(chart: Chart, name: str, key: str) -> str:
    found = json.loads(chart.kubectl("get", "secret", name, "-o", "json"))["data"][key]
    return base64.b64decode(found).decode()
