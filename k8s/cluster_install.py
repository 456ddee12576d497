"""Installs the chart with what `make cluster` was asked for, and shows how it becomes ready."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

CHART = Path(__file__).resolve().parent.parent / "helm" / "marea"
RELEASE = NAMESPACE = "marea"
READY_LIMIT_S = 300
"""Ten times what the lab needs with images loaded (measured: see README.md): a first start on
kind fetches public images."""
LOOK_EVERY_S = 2.0


class Failed(Exception):
    """The text tells what could not be done, and what the program behind it said."""


def say(sentence: str) -> None:
    print(f"cluster: {sentence}", file=sys.stderr, flush=True)


def checked(
    *command: str | Path,
    shown: bool = False,
    quiet_on_success: bool = False,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What the command prints; `shown` lets its progress through. Raises Failed."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=None if shown else subprocess.PIPE,
        input=stdin,
        env=environment,
        text=True,
    )
    if done.returncode:
        words = " ".join(str(word) for word in command)
        said = (done.stdout + (done.stderr or ""))[-6000 if quiet_on_success else -2000 :]
        raise Failed(f"`{words}` ended with status {done.returncode}\n{said.strip()}".strip())
    return done.stdout


class Chart:
    """The release of the chart in its namespace."""

    def __init__(self, prefix: tuple[str, ...], values: Path, broker: str) -> None:
        """`prefix`: in front of commands that must reach the cluster."""
        self.prefix = prefix
        self.broker = broker
        self._values = values

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return checked(*self.prefix, "kubectl", "-n", NAMESPACE, *arguments, stdin=stdin)

    def install(self, restart: bool) -> None:
        """`restart`: the image is another one under the same name, so running pods must go."""
        existed = self._exists()
        # What `restricted` refuses must not run here either.
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": NAMESPACE, "labels": labels}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
        began = monotonic()
        say(f"chart: {'upgrading' if existed else 'installing'} release {RELEASE}")
        self._helm_upgrade()
        if existed and restart:
            for deployment in self.kubectl("get", "deployments", "-o", "name").split():
                self.kubectl("rollout", "restart", deployment)
            for deployment in self.kubectl("get", "deployments", "-o", "name").split():
                say(f"chart: {deployment} starts with the new image")
                self.kubectl("rollout", "status", deployment, f"--timeout={READY_LIMIT_S}s")
        say(f"chart: ready ({monotonic() - began:.0f} s)")

    def _exists(self) -> bool:
        command = [*self.prefix, "helm", "-n", NAMESPACE, "status", RELEASE]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _helm_upgrade(self) -> None:
        """`helm upgrade --install --wait`, with a line whenever another pod is ready."""
        command = [
            *(*self.prefix, "helm", "-n", NAMESPACE, "upgrade", "--install", RELEASE, str(CHART)),
            *("--values", str(self._values), "--set", f"broker.kind={self.broker}"),
            *("--wait", f"--timeout={READY_LIMIT_S}s"),
        ]
        with tempfile.TemporaryFile("w+") as output:
            helm = subprocess.Popen(command, stdout=output, stderr=output, text=True)
            seen = ""
            while True:
                try:
                    helm.wait(LOOK_EVERY_S)
                    break
                except subprocess.TimeoutExpired:
                    now = describe(self.pods())
                    if now != seen:
                        say(f"chart: {now}")
                    seen = now
            if helm.returncode:
                output.seek(0)
                raise Failed(
                    f"helm did not install the chart: {output.read()[-2000:].strip()}\n"
                    f"pods: {describe(self.pods()) or 'none'}\n"
                    f"to look: {' '.join(self.prefix)} kubectl -n {NAMESPACE} get events"
                )

    def pods(self) -> list[dict[str, Any]]:
        """None while the API does not answer: this is progress, not a result."""
        try:
            return list(json.loads(self.kubectl("get", "pods", "-o", "json"))["items"])
        except Failed:
            return []

    def service_address(self, name: str) -> str:
        return self.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")


def describe(pods: list[dict[str, Any]]) -> str:
    """Ready pods by count, and of each other one why it is not."""
    waiting = []
    ready = 0
    for pod in pods:
        status = pod.get("status", {})
        conditions = {one["type"]: one for one in status.get("conditions", [])}
        if status.get("phase") == "Succeeded" or _is_true(conditions.get("Ready")):
            ready += 1
            continue
        waiting.append(f"{pod['metadata']['name']} ({_why(status, conditions)})")
    told = f"{ready} of {len(pods)} pods are ready"
    return told + (f"; {', '.join(sorted(waiting))}" if waiting else "")


def _is_true(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition["status"] == "True"


def _why(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    for container in (
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ):
        state = container.get("state", {})
        reason = state.get("waiting", {}).get("reason")
        if reason not in (None, "PodInitializing", "ContainerCreating"):
            return str(reason)
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and not _is_true(scheduled):
        return str(scheduled.get("message") or scheduled.get("reason") or "not scheduled")
    return "starting" if status.get("phase") in ("Pending", "Running") else str(status.get("phase"))
