"""The recipe: `k8s/image/build` with engines that only note what they were asked for, and the
Dockerfile as text. What it builds is looked at in tests/cluster."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

import marea

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "k8s" / "image" / "build"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ENGINES = ("docker", "podman", "buildah")

ENGINE = """#!/bin/sh
case "$1" in version|info|images) exit $(cat "{folder}/$(basename "$0").status");; esac
echo "$(basename "$0") $*" >> "{folder}/asked"
"""


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """A folder for PATH with three engines, none of which works yet."""
    for name in ENGINES:
        program = tmp_path / name
        program.write_text(ENGINE.format(folder=tmp_path))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        (tmp_path / f"{name}.status").write_text("1")
    return tmp_path


def _make_work(engines: Path, *names: str) -> None:
    for name in names:
        (engines / f"{name}.status").write_text("0")


def _build(engines: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{engines}:/usr/bin:/bin"
    return subprocess.run(
        [str(BUILD), *arguments],
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _asked(engines: Path) -> str:
    return (engines / "asked").read_text()


def test_takes_the_first_engine_that_works(engines: Path) -> None:
    _make_work(engines, "podman", "buildah")
    assert _build(engines).returncode == 0
    assert _asked(engines).startswith("podman build ")


def test_takes_the_engine_that_it_is_told(engines: Path) -> None:
    _make_work(engines, *ENGINES)
    assert _build(engines, ENGINE="buildah").returncode == 0
    assert _asked(engines).startswith("buildah bud ")


def test_says_what_to_do_where_no_engine_works(engines: Path) -> None:
    done = _build(engines)
    assert done.returncode == 1
    assert "none of docker, podman and buildah works here" in done.stderr
    assert not (engines / "asked").exists()


def test_hands_on_tag_arguments_and_options(engines: Path) -> None:
    _make_work(engines, "docker")
    _build(engines, "x/y:1", "--no-cache", BASE="own/python@sha256:0", EXTRAS="", SOURCE="s")
    asked = _asked(engines)
    for part in (
        f"--build-arg VERSION={marea.__version__} ",
        "--build-arg EXTRAS= ",
        "--build-arg BASE=own/python@sha256:0 ",
        "--build-arg SOURCE=s ",
        "--tag x/y:1 --no-cache .",
    ):
        assert part in asked
    assert "--secret" not in asked


def test_hands_certificates_and_settings_of_pip_on_as_secrets(engines: Path) -> None:
    _make_work(engines, "docker")
    _build(engines, PIP_CERT="/ca.pem", PIP_CONFIG_FILE="/pip.conf")
    assert "--secret id=ca,src=/ca.pem --secret id=pip,src=/pip.conf" in _asked(engines)
    assert "--build-arg EXTRAS=tables " in _asked(engines)
    assert "BASE" not in _asked(engines)


def test_the_label_says_the_packages_version() -> None:
    assert f"\nARG VERSION={marea.__version__}\n" in DOCKERFILE


def test_every_path_that_is_copied_is_let_into_the_build() -> None:
    """And nothing is copied whole: a file that is new in the repository stays outside."""
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for copy in copies for source in copy.split()}
    assert sources >= {"service", "loadtest"}
    for source in sources:
        assert any(source == path or source.startswith(f"{path}/") for path in allowed), source
    assert allowed <= {"LICENSE", "README.md", "pyproject.toml", "service", "k8s/image", "loadtest"}
