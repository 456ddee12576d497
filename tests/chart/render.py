"""The chart as the objects that a cluster would be given, by the real `helm template`.

Answers are kept for the length of a run by everything that they depend on, so that each test
can ask for what it needs: one rendering takes about 0.1 s.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
Values = Mapping[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "marea"
SHAPES = CHART / "ci"
LAB = ROOT / "k8s" / "lab" / "lab"
KUBE_VERSION = "1.34.0"
MONITORING = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PodMonitor")
HTTP_ROUTE = ("gateway.networking.k8s.io/v1/HTTPRoute",)
EXTENSIONS = (*MONITORING, *HTTP_ROUTE)
"""What a cluster with every optional extension offers."""
HELM_LIMIT_S = 60
POD_OWNERS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")


class ToolMissing(Exception):
    """A program is neither installed nor could be got; the text says where was looked."""


class Refused(Exception):
    """Helm did not render the chart; the text is what it said."""


@cache
def find_tool(name: str) -> str:
    """The program on PATH or in the lab's cache; otherwise the lab gets it.

    Raises ToolMissing.
    """
    home = Path(os.environ.get("MAREA_LAB_HOME", Path.home() / ".cache" / "marea" / "lab"))
    found = shutil.which(name) or shutil.which(name, path=str(home / "bin"))
    if found:
        return found
    if not LAB.exists():
        raise ToolMissing(f"{name} is not on PATH, and {LAB.relative_to(ROOT)} is not there")
    answer = subprocess.run([LAB, "tool", name], capture_output=True, text=True)
    if answer.returncode:
        raise ToolMissing(f"{name} is not on PATH: {answer.stderr.strip()[-500:]}")
    return answer.stdout.strip().splitlines()[-1]


def render(
    values: Values | None = None,
    *,
    shape: str | None = None,
    release: str = "marea",
    namespace: str = "marea",
    kube_version: str = KUBE_VERSION,
    api_versions: Sequence[str] = (),
    show_only: Sequence[str] = (),
    is_upgrade: bool = False,
    cluster: Path | None = None,
    chart: Path = CHART,
) -> list[Object]:
    """The objects in the order of the templates, hooks and tests included.

    `values` lie over the file of `shape` (`ci/<shape>-values.yaml`, or a path), if any. Raises
    Refused with Helm's own words, ToolMissing without Helm. `cluster`: the kubeconfig of an API
    server that lookups ask; without one they find nothing.
    """
    extra = ["--namespace", namespace, "--kube-version", kube_version]
    for api_version in api_versions:
        extra += ["--api-versions", api_version]
    for template in show_only:
        extra += ["--show-only", template]
    if is_upgrade:
        extra.append("--is-upgrade")
    if cluster is not None:
        extra += ["--dry-run=server", "--kubeconfig", str(cluster)]
    text = _helm(chart, "template", release, shape, json.dumps(values or {}), tuple(extra))
    return [copy.deepcopy(thing) for thing in _parsed(text)]


def render_anew(values: Values | None = None, **options: Any) -> list[Object]:
    """As `render`, but by a run of Helm of its own: what is generated is generated again."""
    _helm.cache_clear()
    return render(values, **options)


def refusal(values: Values | None = None, **options: Any) -> str:
    """Why Helm does not render the chart with `values`.

    Raises AssertionError if it does.
    """
    try:
        render(values, **options)
    except Refused as exc:
        return str(exc)
    raise AssertionError(f"Helm rendered the chart with {values!r}")


def shape_file(shape: str) -> Path:
    return Path(shape) if os.sep in shape else SHAPES / f"{shape}-values.yaml"


def shapes() -> list[str]:
    """The names of the supported shapes: ci/<name>-values.yaml."""
    return sorted(path.name.removesuffix("-values.yaml") for path in SHAPES.glob("*-values.yaml"))


def words_of(shape: str) -> set[str]:
    """Every text in the values of a shape: the names of what a user brings are among them."""
    return set(_texts(yaml.safe_load(shape_file(shape).read_text(encoding="utf-8"))))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _texts(each)


def find(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """The one object of this kind (and name). Raises AssertionError with what there is."""
    hits = [each for each in find_all(objects, kind) if name in (None, name_of(each))]
    there = sorted(name_of(each) for each in find_all(objects, kind))
    assert len(hits) == 1, f"{len(hits)} objects {kind} {name or ''}; there are {there}"
    return hits[0]


def find_all(objects: Sequence[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def name_of(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def component_of(thing: Object) -> str:
    """`gateway`, `worker`…: the object's `app.kubernetes.io/component` label, or ""."""
    return str(thing["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


def pods(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Every object that makes pods, with its pod: `metadata` and `spec`."""
    for owner in find_all(objects, *POD_OWNERS):
        if owner["kind"] == "Pod":
            pod = owner
        elif owner["kind"] == "CronJob":
            pod = owner["spec"]["jobTemplate"]["spec"]["template"]
        else:
            pod = owner["spec"]["template"]
        yield owner, {"metadata": pod.get("metadata") or {}, "spec": pod["spec"]}


@cache
def _helm(chart: Path, verb: str, release: str, shape: str | None, values: str, rest: Any) -> str:
    files = ["--values", str(shape_file(shape))] if shape is not None else []
    answer = subprocess.run(
        [find_tool("helm"), verb, release, str(chart), *files, "--values", "-", *rest],
        input=values,
        capture_output=True,
        text=True,
        timeout=HELM_LIMIT_S,
    )
    if answer.returncode:
        raise Refused(answer.stderr.strip())
    return answer.stdout


@cache
def _parsed(text: str) -> tuple[Object, ...]:
    return tuple(thing for thing in yaml.load_all(text, Loader=UniqueKeys) if thing is not None)


class UniqueKeys(yaml.CSafeLoader):
    """Refuses a mapping that has a key twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"twice in one mapping: {twice}{node.start_mark}")
        return super().construct_mapping(node, deep)
