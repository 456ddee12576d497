"""The lab as tests use it: commands inside the cluster's network, answers as text or JSON.

`k8s/lab/lab` does the work and this is its only user among the tests; nothing here knows how a
cluster is made. A command that fails raises with what it said.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND_LIMIT_S = 600
"""Above the longest wait that helm or kubectl is given here."""
NETWORK = Path("/run/netns/marea-lab")


class CommandFailed(AssertionError):
    """A command in the lab ended with another status than 0; the text is what it said."""


class Lab:
    """The one lab of this machine."""

    program = ROOT / "k8s" / "lab" / "lab"
    values_file = ROOT / "k8s" / "lab" / "values.yaml"
    """Values that put the lab's images in place of the public ones."""

    def __init__(self) -> None:
        self._outside: int | None = None
        """The network that this process came from, while it is in the cluster's."""

    def obstacle(self) -> str | None:
        """Why this machine cannot run the lab; None if it can."""
        check = subprocess.run([self.program, "check"], capture_output=True, text=True)
        return (check.stdout + check.stderr).strip() if check.returncode else None

    @property
    def is_up(self) -> bool:
        """A namespace with an API server that answers."""
        if not NETWORK.exists():
            return False
        return _run((self.program, "exec", "kubectl", "get", "--raw=/readyz"))[0] == 0

    def images(self) -> None:
        """The stand-ins for public images; they are built once."""
        self._command("images")

    def up(self) -> str:
        """The path of the kubeconfig."""
        return self._command("up").strip()

    def down(self) -> None:
        self._command("down")

    def image(self, folder: Path, tag: str, **arguments: str) -> None:
        """Build `folder`/Dockerfile and load it."""
        pairs = [f"{name}={value}" for name, value in arguments.items()]
        self._command("image", str(folder), tag, *pairs)

    def forget(self, tag: str) -> None:
        """Away with an image that `image` made."""
        self._command("forget", tag)

    def load_project(self) -> None:
        """Build the project's own image if its sources changed, and load it."""
        self._from_outside(sys.executable, str(ROOT / "k8s" / "cluster.py"), "image")

    def build(self, tag: str, *options: str, **variables: str) -> None:
        """Build the project's image in another shape; `options` are buildah's. Loads nothing."""
        program = str(ROOT / "k8s" / "image" / "build")
        pairs = {"BASE": "lab/python:3.13", "ENGINE": "buildah", **variables}
        words = [f"{name}={value}" for name, value in pairs.items()]
        self._from_outside("env", *words, program, tag, *options)

    def load(self, tag: str) -> None:
        """Load an image that was built."""
        self._command("load", tag)

    def tool(self, name: str) -> str:
        """The path of a program, got if it is not there."""
        return self._command("tool", name).strip()

    def run(self, *command: str, stdin: str | None = None) -> str:
        """What `command` prints; it runs in the cluster's network, as the cluster's admin."""
        return _checked((self.program, "exec", *command), stdin)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.run("kubectl", *arguments, stdin=stdin)

    def get(self, *arguments: str) -> Any:
        """`kubectl get`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(items))

    def helm(self, *arguments: str) -> str:
        return self.run("helm", *arguments)

    @contextmanager
    def network(self) -> Iterator[None]:
        """This thread, and the threads and processes that it starts, are in the cluster's network.

        Nothing else is reachable meanwhile. To be left before `down`, which ends whoever is inside.
        """
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            _enter(NETWORK)
            self._outside = outside
            yield
        finally:
            _enter(Path(f"/proc/self/fd/{outside}"))
            self._outside = None
            os.close(outside)

    def _command(self, *arguments: str) -> str:
        return self._from_outside(str(self.program), *arguments)

    def _from_outside(self, *command: str) -> str:
        """Builds and starts need the host's network, wherever this process is."""
        if self._outside is None:
            return _checked(command)
        return _checked(("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._outside}", *command))


def _enter(namespace: Path) -> None:
    """os.setns, which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    opened = os.open(namespace, os.O_RDONLY)
    try:
        if libc.setns(opened, 0):
            raise OSError(ctypes.get_errno(), f"this process cannot enter {namespace}")
    finally:
        os.close(opened)


def _run(command: Sequence[str | Path], stdin: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        command,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
    )
    return done.returncode, done.stdout, done.stderr


def _checked(command: Sequence[str | Path], stdin: str | None = None) -> str:
    status, out, error = _run(command, stdin)
    if status:
        words = " ".join(map(str, command))
        raise CommandFailed(f"{words}: status {status}\n{out[-4000:]}{error[-4000:]}")
    return out
