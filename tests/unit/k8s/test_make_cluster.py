"""`make cluster` without one: what it tells of pods, when it builds, what it writes."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
if str(ROOT / "k8s") not in sys.path:
    sys.path.insert(0, str(ROOT / "k8s"))

import cluster  # noqa: E402
import cluster_install  # noqa: E402
import cluster_usage  # noqa: E402


def make_pod(name: str, phase: str = "Running", *, ready: bool = False, **more: Any) -> Any:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": phase, "conditions": conditions, **more}
    return {"metadata": {"name": name}, "status": status}


def test_progress_counts_ready_pods_and_says_of_each_other_why() -> None:
    pods = [
        make_pod("gateway", ready=True),
        make_pod("prepare", "Succeeded"),
        make_pod("valkey"),
        make_pod(
            "store",
            "Pending",
            containerStatuses=[{"state": {"waiting": {"reason": "ErrImagePull"}}}],
        ),
    ]
    told = "2 of 4 pods are ready; store (ErrImagePull), valkey (starting)"
    assert cluster_install.describe(pods) == told


def test_a_pod_that_finds_no_room_is_told_in_the_schedulers_words() -> None:
    pod = make_pod("worker", "Pending")
    pod["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}
    ]
    assert cluster_install.describe([pod]).endswith("worker (0/1 nodes: Insufficient memory)")


def test_a_command_that_fails_is_shown_with_its_words() -> None:
    with pytest.raises(cluster_install.Failed, match=r"(?s)status 3.*no such thing"):
        cluster_install.checked("sh", "-c", "echo no such thing >&2; exit 3")


def test_the_image_is_built_again_when_a_source_its_mode_or_the_base_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "service").mkdir()
    source = tmp_path / "service" / "code.py"
    source.write_text("1")
    monkeypatch.setattr(cluster, "ROOT", tmp_path)
    hashes = [cluster.inputs_hash("base")]
    assert cluster.inputs_hash("base") == hashes[0]
    source.write_text("2")
    hashes.append(cluster.inputs_hash("base"))
    source.chmod(0o755)
    hashes.append(cluster.inputs_hash("base"))
    hashes.append(cluster.inputs_hash("another base"))
    source.unlink()
    hashes.append(cluster.inputs_hash("base"))
    assert len(set(hashes)) == 5
    (tmp_path / "elsewhere.md").write_text("not in the image")
    assert cluster.inputs_hash("base") == hashes[-1]


def test_the_load_kit_counts_for_the_image_that_holds_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(cluster, "ROOT", tmp_path)
    hashes: dict[str, list[str]] = {"tables": [], "load": []}
    (tmp_path / "loadtest").mkdir()
    for text in ("1", "2"):
        (tmp_path / "loadtest" / "code.py").write_text(text)
        for extras, found in hashes.items():
            monkeypatch.setenv("EXTRAS", extras)
            found.append(cluster.inputs_hash("base"))
    assert len(set(hashes["tables"])) == 1
    assert len(set(hashes["load"])) == 2


def test_every_input_of_the_image_exists_and_is_all_that_the_dockerfile_copies() -> None:
    extra = tuple(name for names in cluster.EXTRA_INPUTS.values() for name in names)
    inputs = (*cluster.IMAGE_INPUTS, *extra)
    assert [name for name in inputs if not (ROOT / name).exists()] == []
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            for source in [word for word in line.split()[1:-1] if not word.startswith("--")]:
                assert source.startswith(inputs), source


def test_no_platform_names_both_reasons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("lab", "kind"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho no {name} here\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setattr(cluster.Lab, "program", tmp_path / "lab")
    monkeypatch.setattr(cluster.Kind, "program", tmp_path / "kind")
    with pytest.raises(cluster_install.Failed, match="no lab here; no kind here"):
        cluster.choose(wants_kind=False)
    with pytest.raises(cluster_install.Failed, match=r"^no kind here$"):
        cluster.choose(wants_kind=True)
    (tmp_path / "kind").write_text("#!/bin/sh\n")
    assert cluster.choose(wants_kind=False).name == "kind"


def test_the_file_of_variables_is_for_its_owner_and_a_shell_reads_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "marea" / "cluster.env"
    monkeypatch.setattr(cluster_usage, "ENVIRONMENT", file)
    texts = {"MAREA_BROKER__PASSWORD": 'it\'s $HOME\\ and "more"', "AWS_ACCESS_KEY_ID": "k"}
    cluster_usage.write_environment(texts)
    assert file.stat().st_mode & 0o777 == 0o600
    answer = subprocess.run(
        ["bash", "-c", f'source "{file}"; printf %s "$MAREA_BROKER__PASSWORD"'],
        capture_output=True,
        text=True,
    )
    assert answer.stdout == texts["MAREA_BROKER__PASSWORD"]


def make_program(file: Path, answers: dict[str, str]) -> tuple[str, ...]:
    """In place of what reaches the cluster: answers kubectl for each `get KIND NAME`."""
    cases = [
        f"*'get {asked} '*) printf %s {shlex.quote(said)};;" for asked, said in answers.items()
    ]
    file.write_text('#!/bin/sh\ncase "$* " in\n' + "\n".join(cases) + "\n*) exit 1;; esac\n")
    file.chmod(0o755)
    return (str(file),)


def make_secret(**texts: str) -> str:
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    return json.dumps({"data": data})


def test_the_variables_name_the_gateway_and_a_token_for_a_load(tmp_path: Path) -> None:
    tokens = {"scaling:read": "narrow", "admin:read+submit+admin": "wide"}
    answers = {
        "secret marea-store": make_secret(uploader="store-key"),
        "secret marea-valkey": make_secret(password="valkey-key"),
        "secret marea-gateway": make_secret(**{"api-tokens": json.dumps(tokens)}),
        "service marea-store": "10.0.0.1",
        "service marea-valkey": "10.0.0.2",
        "service marea-gateway": "10.0.0.3",
    }
    prefix = make_program(tmp_path / "inside", answers)
    chart = cluster_install.Chart(prefix, tmp_path / "values.yaml", "valkey")
    texts = cluster_usage.environment(chart)
    assert texts["LOADTEST_GATEWAY_URL"] == "http://10.0.0.3:8080"
    assert texts["LOADTEST_API_TOKEN"] == "wide"
    assert texts["MAREA_STORE__SECRET_KEY"] == "store-key"


def test_the_port_of_the_gateway_is_the_charts_own() -> None:
    values = yaml.safe_load((ROOT / "helm" / "marea" / "values.yaml").read_text())
    assert values["gateway"]["service"]["port"] == cluster_usage.GATEWAY_PORT


def test_without_a_token_that_may_submit_it_says_how_to_add_one() -> None:
    with pytest.raises(cluster_install.Failed, match=r"add one there.*load:read\+submit"):
        cluster_usage.token_for_load('{"looker:read": "x", "sender:submit": "y"}')
