"""Pods of the image alone, without the chart: as strict as Kubernetes knows, and short."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster_lab import Lab
from waiting import wait_until

IMAGE = "marea/marea:dev"
START_LIMIT_S = 120.0
"""A pod is there in 2 s, and in 40 on a machine with ten times the work it can do."""


class Pods:
    """The pods of one namespace, which admits only `restricted` ones."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self._lab = lab
        self.namespace = namespace

    def open(self) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": self.namespace, "labels": labels}
        self._lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        wait_until(
            lambda: self._objects("serviceaccounts"), "the namespace has its account", timeout_s=60
        )

    def close(self) -> None:
        self._lab.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def start(
        self,
        name: str,
        *arguments: str,
        image: str = IMAGE,
        command: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Start a pod. `files` are there under /files; nothing but /tmp and /data is writable."""
        if files:
            metadata = {"name": name, "namespace": self.namespace}
            self._lab.apply(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(files)}
            )
        container = {
            "name": "it",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": list(arguments),
            **({"command": list(command)} if command else {}),
            "env": [{"name": key, "value": text} for key, text in (variables or {}).items()],
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "data", "mountPath": "/data"},
                *([{"name": "files", "mountPath": "/files"}] if files else []),
            ],
            "securityContext": {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        self._lab.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "restartPolicy": "Never",
                    "enableServiceLinks": False,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 5,
                    # No user is named: the kubelet takes the image's, and refuses root.
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [
                        {"name": "tmp", "emptyDir": {}},
                        {"name": "data", "emptyDir": {}},
                        *([{"name": "files", "configMap": {"name": name}}] if files else []),
                    ],
                },
            }
        )

    def finish(self, name: str, *, timeout_s: float = START_LIMIT_S) -> tuple[int, str]:
        """Wait for the pod's end; exit status and log."""
        wait_until(
            lambda: self.phase(name) in ("Succeeded", "Failed"),
            f"pod {name} has ended",
            timeout_s=timeout_s,
            poll_s=0.25,
        )
        state = self._status(name)["containerStatuses"][0]["state"]["terminated"]
        return state["exitCode"], self.log(name)

    def phase(self, name: str) -> str:
        return str(self._status(name)["phase"])

    def log(self, name: str) -> str:
        return self._kubectl("logs", name)

    def wait_for_log(self, name: str, text: str, *, timeout_s: float = START_LIMIT_S) -> None:
        """Until the pod has said `text`; fails at once, with the log, if it ends before."""

        def is_said() -> bool:
            phase = self.phase(name)
            if phase == "Pending":
                return False
            log = self.log(name)
            assert text in log or phase == "Running", log
            return text in log

        wait_until(is_said, f"pod {name} says {text!r}", timeout_s=timeout_s, poll_s=0.25)

    def address(self, name: str) -> str:
        """Its IP, once it runs."""
        wait_until(
            lambda: self.phase(name) == "Running", f"pod {name} runs", timeout_s=START_LIMIT_S
        )
        return str(self._status(name)["podIP"])

    def python(self, name: str, script: str) -> str:
        """What `script` prints, run beside the pod's process."""
        return self._kubectl("exec", name, "--", "python", "-c", script)

    def working_set_bytes(self, name: str) -> int:
        """Memory as the kubelet counts it for limits and eviction; 0 = not measured yet."""
        node = self._lab.get("pod", name, "--namespace", self.namespace)["spec"]["nodeName"]
        path = f"/api/v1/nodes/{node}/proxy/stats/summary"
        summary = json.loads(self._lab.kubectl("get", f"--raw={path}"))
        for pod in summary["pods"]:
            if pod["podRef"] | {"uid": ""} == {
                "name": name,
                "namespace": self.namespace,
                "uid": "",
            }:
                memory = [one.get("memory", {}) for one in pod.get("containers", ())]
                return sum(one.get("workingSetBytes", 0) for one in memory)
        return 0

    def _status(self, name: str) -> Any:
        return self._lab.get("pod", name, "--namespace", self.namespace)["status"]

    def _objects(self, kind: str) -> Any:
        return self._lab.get(kind, "--namespace", self.namespace)["items"]

    def _kubectl(self, *arguments: str) -> str:
        return self._lab.kubectl("--namespace", self.namespace, *arguments)
