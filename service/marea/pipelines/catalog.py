"""The catalog: every pipeline by name, built-in, from the user's file, or from their packages.

Loaded once by each process, the gateway included, so loading imports neither Pillow nor
pandas. A user's own pipelines come in four ways: entries of the YAML file, a step
`python: package.module:function` in such an entry, an entry that is `python:` as a whole, and
Python entry points of the group `marea.pipelines`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from marea.errors import ConfigError, MareaError, PermanentError
from marea.pipelines.builtin import BUILTIN_PIPELINES
from marea.pipelines.copy import NONE
from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.definition import NAME, PipelineKind, parse_definition
from marea.pipelines.images.image_pipeline import IMAGES
from marea.pipelines.pipeline import Pipeline
from marea.pipelines.references import resolve
from marea.pipelines.result_keys import split_key
from marea.pipelines.tables.table_pipeline import TABLES

ENTRY_POINTS = "marea.pipelines"

KINDS: Mapping[str, PipelineKind] = {kind.name: kind for kind in (IMAGES, TABLES, NONE)}

_SHARED_MODULES: Mapping[str, tuple[str, ...]] = {
    IMAGES.name: (
        "marea.pipelines.images.render",
        # Pillow itself imports these when it opens the first file.
        *(f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),
    )
}
"""Kind -> what its first run would import. None for tables: pandas and pyarrow start threads
when they are imported, which a fork would not have."""

_PROBE_KEYS = (
    *(f"a/photo.{ext}" for ext in ("jpg", "jpeg", "png", "webp", "gif", "avif", "tif", "bmp")),
    *(f"a/b/table.{ext}" for ext in ("csv", "json", "tsv", "parquet")),
    "plain",
    "a/photo.JPG",
)


class UnknownPipeline(ConfigError, KeyError):
    """No pipeline has this name here. During an upgrade another process may know it."""

    code = "unknown-pipeline"

    def __str__(self) -> str:  # KeyError's own would show the message's repr.
        return "\n".join(self.problems)


@dataclass(frozen=True, slots=True)
class Collision:
    """Two pipelines that would write the same result for the same upload."""

    first: str
    second: str
    source_key: str
    result_key: str

    def __str__(self) -> str:
        return (
            f"pipelines {self.first!r} and {self.second!r} would both write"
            f" {self.result_key!r} for {self.source_key!r}; give one another result template"
        )


class Catalog(Mapping[str, Pipeline]):
    """Immutable, in order of declaration."""

    def __init__(self, pipelines: Iterable[Pipeline]) -> None:
        self._pipelines = {pipeline.name: pipeline for pipeline in pipelines}

    def __getitem__(self, name: str) -> Pipeline:
        """Raises `UnknownPipeline`, which is a `ConfigError` and a `KeyError`."""
        try:
            return self._pipelines[name]
        except KeyError:
            known = ", ".join(self._pipelines)
            raise UnknownPipeline([f"there is no pipeline {name!r}; known are: {known}"]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._pipelines)

    def __len__(self) -> int:
        return len(self._pipelines)

    def describe(self, name: str) -> dict[str, Any]:
        """JSON-able, for `marea pipelines show`. Raises `UnknownPipeline`."""
        pipeline = self[name]
        shown: dict[str, Any] = {
            "name": pipeline.name,
            "digest": pipeline.digest,
            "pool": pipeline.pool,
            "max_bytes": pipeline.max_bytes,
        }
        example = "photos/table.csv" if pipeline.pool == "tables" else "photos/photo.jpg"
        if isinstance(pipeline, DeclaredPipeline):
            definition = pipeline.definition
            shown["kind"] = definition.kind
            shown["steps"] = [step.canonical() for step in definition.steps]
            shown["result"] = definition.result.text
            shown["limits"] = dict(definition.limits)
            shown["options"] = dict(definition.options)
            shown["manifest"] = definition.manifest
        else:
            shown["kind"] = "python"
            shown["class"] = f"{type(pipeline).__module__}:{type(pipeline).__qualname__}"
        shown["example"] = {"source": example, "results": list(pipeline.result_keys(example))}
        return shown

    def colliding_pipelines(self, names: Sequence[str]) -> list[Collision]:
        """Pairs among `names` that write the same key for some upload, once per pair.

        Found by trying typical keys with every extension in play. Two *uploads* that lead to
        one result (photo.jpg and photo.png, both to WebP) only show when they come.
        """
        pipelines = [self[name] for name in dict.fromkeys(names)]
        probes = list(_PROBE_KEYS)
        for pipeline in pipelines:
            for key in pipeline.result_keys(_PROBE_KEYS[0]):
                probes.append("a/photo" + split_key(key).ext)
        found: dict[tuple[str, str], Collision] = {}
        for probe in dict.fromkeys(probes):
            writer: dict[str, str] = {}
            for pipeline in pipelines:
                for key in pipeline.result_keys(probe):
                    first = writer.setdefault(key, pipeline.name)
                    pair = (first, pipeline.name)
                    if first != pipeline.name and pair not in found:
                        found[pair] = Collision(*pair, probe, key)
        return list(found.values())


def import_libraries(pipelines: Iterable[Pipeline], pool: str) -> None:
    """Import what those of `pool` need, as far as that may be done before a fork."""
    for pipeline in pipelines:
        if isinstance(pipeline, DeclaredPipeline) and pipeline.pool == pool:
            for module in _SHARED_MODULES.get(pipeline.definition.kind, ()):
                importlib.import_module(module)


def lacking_libraries(pipelines: Iterable[Pipeline], pool: str) -> list[str]:
    """A sentence for each library that pipelines of `pool` need and that is not installed."""
    users: dict[str, list[str]] = {}
    for pipeline in pipelines:
        if isinstance(pipeline, DeclaredPipeline) and pipeline.pool == pool:
            for library in pipeline.definition.libraries:
                if not list(importlib.metadata.distributions(name=library)):
                    users.setdefault(library, []).append(pipeline.name)
    return [
        f"pool {pool!r} cannot run {', '.join(names)} without {library}, which is not installed:"
        " install marea[tables], or take an image that was built with EXTRAS=tables"
        for library, names in users.items()
    ]


def load_catalog(
    yaml_text: str | None = None,
    *,
    extra: Iterable[Pipeline] = (),
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> Catalog:
    """Built-in pipelines, then those of `yaml_text`, of installed packages, and `extra`.

    `entry_points` None = those installed. Raises `ConfigError` with every problem at once.
    """
    problems: list[str] = []
    pipelines: list[Pipeline] = []
    _add_declared(list(BUILTIN_PIPELINES), pipelines, problems)
    _add_declared(_yaml_entries(yaml_text, problems), pipelines, problems)
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in sorted(entry_points, key=lambda point: point.name):
        where = f"entry point {point.name!r} ({point.value})"
        try:
            found = point.load()
        except Exception as exc:  # A user's module may raise anything while it is imported.
            problems.append(f"{where}: cannot be imported: {exc!r}")
        else:
            _add_object(found, {}, where, pipelines, problems)
    pipelines.extend(extra)
    _check_names(pipelines, problems)
    for pipeline in pipelines:
        _check_own_keys(pipeline, problems)
    if problems:
        raise ConfigError(problems)
    return Catalog(pipelines)


def _yaml_entries(yaml_text: str | None, problems: list[str]) -> list[Any]:
    if yaml_text is None:
        return []
    try:
        tree = yaml.safe_load(yaml_text)
    except yaml.YAMLError as exc:
        problems.append(f"pipelines file: is not YAML: {exc}")
        return []
    if tree is None:
        return []
    if not isinstance(tree, Mapping) or set(tree) != {"pipelines"}:
        problems.append("pipelines file: must have the one key 'pipelines', a list")
        return []
    entries = tree["pipelines"]
    if not isinstance(entries, list):
        problems.append("pipelines file: 'pipelines' must be a list")
        return []
    return entries


def _add_declared(entries: list[Any], pipelines: list[Pipeline], problems: list[str]) -> None:
    for position, entry in enumerate(entries, start=1):
        if isinstance(entry, Mapping) and "python" in entry:
            _add_whole(entry, position, pipelines, problems)
            continue
        definition = parse_definition(entry, position, KINDS, problems)
        if definition is not None:
            pipelines.append(KINDS[definition.kind].build(definition))


def _add_whole(
    entry: Mapping[str, Any], position: int, pipelines: list[Pipeline], problems: list[str]
) -> None:
    """An entry `{name, python: "package.module:function", options: {...}}`."""
    where = f"pipeline {entry.get('name', position)!r}"
    wrong = [key for key in entry if key not in ("name", "python", "options")]
    if wrong:
        problems.append(f"{where}: a python: pipeline takes name and options, not {wrong!r}")
        return
    options = entry.get("options") or {}
    if not isinstance(options, Mapping):
        problems.append(f"{where}: options must be a mapping (given: {options!r})")
        return
    try:
        found = resolve(str(entry["python"]))
    except ConfigError as exc:
        problems.extend(f"{where}: {problem}" for problem in exc.problems)
        return
    made = _add_object(found, options, where, pipelines, problems)
    if made is not None and entry.get("name", made.name) != made.name:
        problems.append(f"{where}: {entry['python']} calls its pipeline {made.name!r}")


def _add_object(
    found: Any,
    options: Mapping[str, Any],
    where: str,
    pipelines: list[Pipeline],
    problems: list[str],
) -> Pipeline | None:
    """`found` is a pipeline, or is called with `options` to make one."""
    if inspect.isclass(found) or not hasattr(found, "run"):
        try:
            found = found(**options)
        except Exception as exc:  # A user's code may raise anything.
            problems.append(f"{where}: cannot be built: {exc!r}")
            return None
    lacking = [
        name
        for name in ("name", "digest", "pool", "max_bytes", "result_keys", "run")
        if not hasattr(found, name)
    ]
    if lacking:
        problems.append(f"{where}: is no pipeline, it lacks {', '.join(lacking)}")
        return None
    pipelines.append(found)
    pipeline: Pipeline = found
    return pipeline


def _check_names(pipelines: list[Pipeline], problems: list[str]) -> None:
    seen: set[str] = set()
    for pipeline in pipelines:
        if not NAME.match(pipeline.name):
            problems.append(f"pipeline {pipeline.name!r}: name must be 1 to 40 of a-z, 0-9 and '-'")
        if pipeline.name in seen:
            problems.append(
                f"pipeline {pipeline.name!r}: the name is taken by an earlier pipeline (or a"
                " built-in one); choose another"
            )
        seen.add(pipeline.name)


def _check_own_keys(pipeline: Pipeline, problems: list[str]) -> None:
    for probe in _PROBE_KEYS:
        try:
            keys = pipeline.result_keys(probe)
        except PermanentError:
            continue
        except MareaError as exc:
            problems.append(f"pipeline {pipeline.name!r}: result keys of {probe!r}: {exc}")
            return
        if len(set(keys)) != len(keys) or not keys:
            problems.append(
                f"pipeline {pipeline.name!r}: its outputs (or its manifest) would share one"
                f" result key for {probe!r}: {', '.join(keys)}"
            )
            return
