"""What the lab and kind say without a cluster: words for wrong use, and reasons not to run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from marea.up.tools import MINIO_MODULE

ROOT = Path(__file__).parents[3]
LAB = ROOT / "k8s" / "lab" / "lab"
KIND = ROOT / "k8s" / "kind" / "kind-cluster"
SCRIPTS = [LAB, KIND, *sorted((LAB.parent / "parts").glob("*.sh"))]
IS_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="asks for root first")


def run(
    program: Path, *arguments: str, home: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        env={**os.environ, "MAREA_LAB_HOME": str(home), **variables},
        capture_output=True,
        text=True,
    )


def only(folder: Path, *programs: str) -> str:
    """A PATH with these programs of the machine's and no others."""
    folder.mkdir()
    for name in programs:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return str(folder)


def tool(name: str) -> str:
    """Of PATH or cache; a test is skipped where it cannot be had, which CI does not allow."""
    found = subprocess.run([LAB, "tool", name], capture_output=True, text=True)
    if found.returncode and not IS_CI:
        pytest.skip(found.stderr.strip()[-300:])
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.mark.parametrize("program", [LAB, KIND])
def test_every_command_is_explained_to_who_gives_none(program: Path, tmp_path: Path) -> None:
    answer = run(program, home=tmp_path)
    assert answer.returncode == 2
    for command in ("check", "up", "load", "exec", "down"):
        assert f"{program.name} {command} " in answer.stderr


def test_an_unknown_tool_is_answered_with_those_there_are(tmp_path: Path) -> None:
    answer = run(LAB, "tool", "hammer", home=tmp_path)
    assert answer.returncode == 1
    assert "no tool 'hammer'" in answer.stderr
    assert "helm kubectl kube-score" in answer.stderr
    assert answer.stdout == ""


def test_a_tool_of_the_path_is_taken_and_told_by_its_path_alone(tmp_path: Path) -> None:
    program = tmp_path / "kubeconform"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    answer = run(LAB, "tool", "kubeconform", home=tmp_path / "home", PATH=path)
    assert (answer.stdout, answer.stderr) == (f"{program}\n", "")


def test_helm_2_is_not_taken_for_helm(tmp_path: Path) -> None:
    for name, version in (("helm", "v2.17.0"), ("go", "go1.20")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    answer = run(LAB, "tool", "helm", home=tmp_path / "home", PATH=path)
    assert answer.returncode == 1
    assert "cannot be compiled: that needs Go 1.26 or later" in answer.stderr


@needs_root
def test_check_asks_for_go_where_nothing_is_compiled(tmp_path: Path) -> None:
    path = only(
        tmp_path / "bin",
        *("bash", "readlink", "dirname", "uname", "id", "awk", "getent", "cut"),
    )
    answer = run(LAB, "check", home=tmp_path / "home", PATH=path)
    assert answer.returncode == 1
    assert answer.stdout == (
        "this machine cannot run the lab: Kubernetes has to be compiled,"
        " and there is no Go 1.26 or later on the PATH\n"
    )
    assert not (tmp_path / "home").exists()


@needs_root
def test_exec_without_a_cluster_says_how_to_get_one(tmp_path: Path) -> None:
    answer = run(LAB, "exec", "true", home=tmp_path)
    assert answer.returncode == 1
    assert "the cluster is not up: lab up" in answer.stderr


@needs_root
def test_an_image_without_a_dockerfile_is_refused(tmp_path: Path) -> None:
    answer = run(LAB, "image", str(tmp_path), "a/b:1", home=tmp_path / "home")
    assert answer.returncode == 1
    assert "DIR holds a Dockerfile" in answer.stderr


@pytest.mark.timeout(180)  # a machine's first run fetches it
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_scripts_have_nothing_that_shellcheck_objects_to(script: Path) -> None:
    # Parts are read together with the program that has their variables.
    command = [tool("shellcheck"), "--external-sources", *map(str, {LAB, script})]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout + answer.stderr == ""


@pytest.mark.timeout(180)
def test_the_dockerfiles_have_nothing_that_hadolint_objects_to() -> None:
    files = sorted((LAB.parent / "images").glob("*/Dockerfile"))
    assert len(files) == 4
    answer = subprocess.run([tool("hadolint"), *files], capture_output=True, text=True)
    assert answer.stdout + answer.stderr == ""


def test_minio_has_one_pin_that_the_lab_reads_too(tmp_path: Path) -> None:
    program = tmp_path / "go"
    # Answers as a Go that compiles nothing, and notes what it was asked for.
    program.write_text(f'#!/bin/sh\n[ "$1" = env ] && echo go9.9 || echo "$@" >{tmp_path}/asked\n')
    program.chmod(0o755)
    script = 'say() { :; }; fail() { exit 1; }; source "$LAB_FOLDER/parts/tools.sh"; minio_path'
    subprocess.run(
        ["bash", "-c", script],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "LAB_FOLDER": str(LAB.parent),
            **{name: str(tmp_path) for name in ("LAB_HOME", "CACHE", "BIN")},
        },
        capture_output=True,
    )
    assert (tmp_path / "asked").read_text().split()[-1] == MINIO_MODULE


@pytest.mark.parametrize("file", ["lab/values.yaml", "kind/values.yaml"])
def test_values_name_only_what_the_chart_has(file: str) -> None:
    values = yaml.safe_load((ROOT / "k8s" / file).read_text())
    chart = yaml.safe_load((ROOT / "helm" / "marea" / "values.yaml").read_text())
    assert [path for path in _leaves(values) if not _has(chart, path)] == []


def test_kinds_cluster_is_one_node_named_as_the_script_names_it() -> None:
    cluster = yaml.safe_load((KIND.parent / "cluster.yaml").read_text())
    assert (cluster["kind"], cluster["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert f"NAME={cluster['name']}\n" in KIND.read_text()
    assert [node["role"] for node in cluster["nodes"]] == ["control-plane"]


def _leaves(tree: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in tree.items():
        path = (*before, key)
        found += _leaves(value, path) if isinstance(value, dict) else [path]
    return found


def _has(tree: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True
