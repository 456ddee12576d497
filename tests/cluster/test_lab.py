"""The lab's own behaviour: what a pod finds in it that a pod of any cluster finds."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_lab import CommandFailed, Lab
from waiting import wait_until

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
WRITE_ROOT = "touch /file 2>/dev/null && echo root is writable || echo root is read-only"


@pytest.fixture
def namespace(lab: Lab) -> Iterator[str]:
    name = f"lab-test-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", name)
    lab.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    lab.kubectl("delete", "namespace", name, "--wait=false")


def make_pod(namespace: str, script: str, **more: Any) -> dict[str, Any]:
    """A pod as the chart's are: user 10001, seccomp, a root that cannot be written."""
    container = {
        "name": "main",
        "image": more.pop("image", "lab/python:3.13"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "securityContext": RESTRICTED,
        "volumeMounts": more.pop("mounts", []),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **more,
        },
    }


def make_claim(namespace: str, *modes: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": list(modes), "resources": {"requests": {"storage": "1Gi"}}},
    }


def output(lab: Lab, namespace: str) -> str:
    """What the pod printed, when it has ended well."""
    lab.kubectl(
        *("-n", namespace, "wait", "pod/pod", "--for=jsonpath={.status.phase}=Succeeded"),
        "--timeout=60s",
    )
    return lab.kubectl("-n", namespace, "logs", "pod")


def test_up_on_a_running_lab_changes_nothing(lab: Lab) -> None:
    before = lab.get("namespace", "kube-system")["metadata"]["uid"]
    kubeconfig = lab.up()
    assert Path(kubeconfig).is_file()
    assert lab.get("namespace", "kube-system")["metadata"]["uid"] == before


def test_a_pod_of_the_restricted_kind_runs_with_seccomp_and_cannot_write_its_root(
    lab: Lab, namespace: str
) -> None:
    script = f"id -u; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; {WRITE_ROOT}"
    lab.apply(make_pod(namespace, script))
    told = output(lab, namespace).split("\n")
    assert [line.split() for line in told[:3]] == [
        ["10001"],
        ["NoNewPrivs:", "1"],
        ["Seccomp:", "2"],
    ]
    assert told[3] == "root is read-only"


def test_a_pod_that_is_not_restricted_is_refused_where_that_is_enforced(
    lab: Lab, namespace: str
) -> None:
    pod = make_pod(namespace, "true")
    pod["spec"]["securityContext"] = {}
    with pytest.raises(CommandFailed, match=r"violates PodSecurity .restricted"):
        lab.apply(pod)


def test_a_pod_finds_the_api_and_services_by_their_names(lab: Lab, namespace: str) -> None:
    lab.apply(make_pod(namespace, "curl -sk https://kubernetes.default.svc/version"))
    answer = json.loads(output(lab, namespace))
    assert answer == json.loads(lab.kubectl("get", "--raw=/version"))


def test_a_volume_outlives_its_pod_and_goes_with_its_claim(lab: Lab, namespace: str) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    lab.apply(
        make_claim(namespace, "ReadWriteOnce"),
        make_pod(namespace, "echo kept >/data/file", volumes=volumes, mounts=mounts),
    )
    output(lab, namespace)
    lab.kubectl("-n", namespace, "delete", "pod", "pod")
    lab.apply(make_pod(namespace, "cat /data/file", volumes=volumes, mounts=mounts))
    assert output(lab, namespace) == "kept\n"
    volume = lab.get("-n", namespace, "pvc", "data")["spec"]["volumeName"]
    folder = Path(lab.get("pv", volume)["spec"]["local"]["path"])
    assert (folder / "file").read_text() == "kept\n"
    lab.kubectl("-n", namespace, "delete", "pod/pod", "pvc/data")
    wait_until(lambda: not folder.exists(), "the volume's folder is gone", timeout_s=30)


def test_a_claim_may_ask_for_several_access_modes(lab: Lab, namespace: str) -> None:
    lab.apply(make_claim(namespace, "ReadWriteOnce", "ReadWriteMany"))
    lab.kubectl(
        *("-n", namespace, "wait", "pvc/data", "--for=jsonpath={.status.phase}=Bound"),
        "--timeout=30s",
    )


def test_this_process_reaches_services_and_a_command_runs_in_a_pod(
    lab: Lab, namespace: str
) -> None:
    lab.apply(make_pod(namespace, "exec sleep 300"))
    lab.kubectl("-n", namespace, "wait", "pod/pod", "--for=condition=Ready", "--timeout=60s")
    assert lab.kubectl("-n", namespace, "exec", "pod", "--", "hostname") == "pod\n"
    address = lab.get("-n", "default", "service", "kubernetes")["spec"]["clusterIP"]
    # curl here, not in a pod: what this process starts is in the cluster's network.
    answer = subprocess.run(
        ["curl", "-sk", f"https://{address}/healthz"], capture_output=True, text=True
    )
    assert answer.stdout == "ok"


@pytest.fixture
def tag(lab: Lab) -> Iterator[str]:
    yield "lab/test-image:1"
    lab.forget("lab/test-image:1")


def test_an_image_that_is_built_again_is_what_the_next_pod_runs(
    lab: Lab, namespace: str, tmp_path: Path, tag: str
) -> None:
    for text in ("first", "second"):
        (tmp_path / "Dockerfile").write_text(
            f"ARG BASE\nFROM $BASE\nRUN echo {text} >/told\nUSER 10001\n"
        )
        lab.image(tmp_path, tag, BASE="lab/python:3.13")
        lab.apply(make_pod(namespace, "cat /told", image=tag))
        assert output(lab, namespace) == f"{text}\n"
        lab.kubectl("-n", namespace, "delete", "pod", "pod")


@pytest.mark.parametrize(
    ("image", "command", "answer"),
    [
        ("lab/valkey:8", "valkey-server --version && valkey-cli --version", "Valkey"),
        ("lab/rabbitmq:4", "command -v rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"),
        ("lab/minio:1", "minio --version", "minio version"),
        ("marea/marea:dev", "marea --version", "."),
    ],
)
def test_each_image_has_its_program_for_any_user(
    lab: Lab, namespace: str, image: str, command: str, answer: str
) -> None:
    lab.apply(make_pod(namespace, command, image=image))
    assert answer in output(lab, namespace)
