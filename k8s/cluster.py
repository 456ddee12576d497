#!/usr/bin/env python3
"""A cluster with Marea in it by one command: behind `make cluster` and `make cluster-down`.

Where: the lab (lab/lab) if this machine can run it, else kind (kind/kind-cluster) if Docker
answers; `--kind` asks for the latter. Needs no package but the standard library; what it does is
printed with the time it took, and every command that fails is shown with its words.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from cluster_install import NAMESPACE, RELEASE, Chart, Failed, checked, say
from cluster_usage import how_to_use

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
IMAGE = "marea/marea:dev"
BASE = "lab/python:3.13"
IMAGE_INPUTS = (
    "Dockerfile",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "service",
    "k8s/image",
)
"""What the Dockerfile copies, and itself."""
EXTRA_INPUTS = {"load": ("loadtest",)}
"""What it copies besides for an extra; no other image changes with that."""


class Lab:
    """The project's own throw-away Kubernetes."""

    name = "the lab"
    program = HERE / "lab" / "lab"
    values = HERE / "lab" / "values.yaml"
    prefix: tuple[str, ...] = (str(program), "exec")
    """In front of kubectl, helm and whatever else must reach the cluster."""

    def obstacle(self) -> str | None:
        check = subprocess.run([self.program, "check"], capture_output=True, text=True)
        return (check.stdout + check.stderr).strip() if check.returncode else None

    def up(self) -> None:
        checked(self.program, "images", shown=True)
        checked(self.program, "up", shown=True)

    def build(self) -> bool:
        """The image in buildah's store and in the cluster; True if it had to be built."""
        with alone(lab_home() / "image.lock"):
            return self._build()

    def _build(self) -> bool:
        base = checked("buildah", "images", "--quiet", "--no-trunc", BASE).strip()
        note = lab_home() / "images" / "marea_marea_dev.tar.inputs"
        inputs = inputs_hash(base)
        known = subprocess.run(["buildah", "images", "--quiet", IMAGE], capture_output=True)
        if note.exists() and note.read_text() == inputs and known.returncode == 0:
            checked(self.program, "load", IMAGE, shown=True)
            return False
        note.unlink(missing_ok=True)
        environment = {**os.environ, "ENGINE": "buildah", "BASE": BASE}
        checked(HERE / "image" / "build", IMAGE, environment=environment, quiet_on_success=True)
        checked(self.program, "load", IMAGE, shown=True)
        note.write_text(inputs)
        return True

    def down(self) -> None:
        checked(self.program, "down", shown=True)

    def exists(self) -> bool:
        return Path("/run/netns/marea-lab").exists()


class Kind:
    """kind, for machines with Docker; public images come from their registries."""

    name = "kind"
    program = HERE / "kind" / "kind-cluster"
    values = HERE / "kind" / "values.yaml"
    prefix = (str(program), "exec")

    def obstacle(self) -> str | None:
        check = subprocess.run([self.program, "check"], capture_output=True, text=True)
        return (check.stdout + check.stderr).strip() if check.returncode else None

    def up(self) -> None:
        checked(self.program, "up", shown=True)

    def build(self) -> bool:
        before = self._image_id()
        environment = {**os.environ, "ENGINE": "docker"}
        checked(HERE / "image" / "build", IMAGE, environment=environment, quiet_on_success=True)
        checked(self.program, "load", IMAGE, shown=True)
        return self._image_id() != before

    def down(self) -> None:
        checked(self.program, "down", shown=True)

    def exists(self) -> bool:
        return (cache() / "kind" / "kubeconfig").exists()

    @staticmethod
    def _image_id() -> str:
        command = ["docker", "image", "inspect", "--format", "{{.Id}}", IMAGE]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()


Platform = Lab | Kind


def cache() -> Path:
    """What outlives a cluster; lab/lab and kind/kind-cluster have the same rule."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "marea"


def lab_home() -> Path:
    return Path(os.environ.get("MAREA_LAB_HOME") or cache() / "lab")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Of two builds at once the second waits, and then finds nothing to do."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def inputs_hash(base: str) -> str:
    """Of everything that the image is made of: one hash over names and contents."""
    extras = os.environ.get("EXTRAS", "tables")
    listing = checked(
        *("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"),
        *(*IMAGE_INPUTS, *EXTRA_INPUTS.get(extras, ())),
    )
    digest = hashlib.sha256(f"{base} {extras}".encode())
    for name in sorted(set(filter(None, listing.split("\0")))):
        path = ROOT / name
        if path.is_file():
            digest.update(f"\0{name}\0{path.stat().st_mode & 0o111}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def choose(wants_kind: bool) -> Platform:
    """The lab where it runs, else kind; raises Failed with both reasons."""
    kind, lab = Kind(), Lab()
    if wants_kind:
        if reason := kind.obstacle():
            raise Failed(reason)
        return kind
    if not (no_lab := lab.obstacle()):
        return lab
    if not (no_kind := kind.obstacle()):
        say(f"{no_lab}; so it is kind")
        return kind
    raise Failed(f"{no_lab}; {no_kind}")


def bring_up(wants_kind: bool, broker: str) -> None:
    began = monotonic()
    platform = choose(wants_kind)
    say(f"{platform.name}: starting, unless it is up")
    platform.up()
    say(f"image {IMAGE}: building, unless its sources are the same")
    at = monotonic()
    is_new = platform.build()
    say(f"image {IMAGE}: {'built' if is_new else 'unchanged'} ({monotonic() - at:.0f} s)")
    chart = Chart(platform.prefix, platform.values, broker)
    chart.install(restart=is_new)
    say(f"ready {monotonic() - began:.0f} s after `make cluster`")
    print(how_to_use(chart, is_lab=isinstance(platform, Lab)), flush=True)


def take_down(wants_kind: bool) -> None:
    """All of it: the cluster, the release and its volumes."""
    platforms: list[Platform] = [Kind()] if wants_kind else [Lab(), Kind()]
    for platform in platforms:
        if platform.exists():
            platform.down()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="k8s/cluster.py", description=__doc__)
    parser.add_argument("command", choices=("up", "image", "down"))
    parser.add_argument("--kind", action="store_true", help="kind, though the lab could run")
    parser.add_argument("--broker", choices=("valkey", "redis", "rabbitmq"), default="valkey")
    options = parser.parse_args(arguments)
    try:
        if options.command == "up":
            bring_up(options.kind, "rabbitmq" if options.broker == "rabbitmq" else "valkey")
        elif options.command == "image":
            platform = choose(options.kind)
            say(f"image {IMAGE}: {'built' if platform.build() else 'unchanged'}")
        else:
            take_down(options.kind)
    except Failed as exc:
        say(str(exc))
        return 1
    except KeyboardInterrupt:
        say(f"stopped; release {RELEASE} in namespace {NAMESPACE} may be half installed")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
