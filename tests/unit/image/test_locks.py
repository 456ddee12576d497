"""The image's locks say the same as the repository's, and only what the image needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
IMAGE = ROOT / "k8s" / "image"
LOCKS = sorted(IMAGE.glob("*.lock"))
PINNED = re.compile(r"^([a-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def _pins(lock: Path) -> set[tuple[str, str]]:
    """Name and version of every requirement."""
    return set(PINNED.findall(lock.read_text(encoding="utf-8")))


def _names(lock: Path) -> set[str]:
    return {name for name, _ in _pins(lock)}


def _declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;]", requirement)[0] for requirement in requirements}


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, object] = tomllib.load(file)["project"]
    return table


def test_there_is_a_lock_for_each_shape_and_stage() -> None:
    assert [lock.name for lock in LOCKS] == [
        "build.lock",
        "requirements-load.lock",
        "requirements-tables.lock",
        "requirements.lock",
        "sbom.lock",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_by_hash_and_no_address_is_named(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    requirements = text.replace("\\\n", " ").splitlines()
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-tables.lock", "requirements-load.lock"]
)
def test_the_image_gets_the_versions_that_the_tests_ran_with(name: str) -> None:
    assert _pins(IMAGE / name) <= _pins(ROOT / "requirements.lock"), "run `make lock`"


def test_the_locks_hold_what_the_project_declares(project: dict[str, object]) -> None:
    base = _declared(project["dependencies"])  # type: ignore[arg-type]
    tables = _declared(project["optional-dependencies"]["tables"])  # type: ignore[index]
    load = _declared(project["optional-dependencies"]["load"])  # type: ignore[index]
    assert base | load <= _names(IMAGE / "requirements-load.lock")
    assert not load & _names(IMAGE / "requirements-tables.lock")
    assert base <= _names(IMAGE / "requirements.lock")
    assert base | tables <= _names(IMAGE / "requirements-tables.lock")
    assert not tables & _names(IMAGE / "requirements.lock")


def test_no_tool_of_development_gets_into_the_image() -> None:
    tools = {"moto", "locust", "pytest", "mypy", "ruff", "pip", "setuptools", "cyclonedx-bom"}
    for name in ("requirements.lock", "requirements-tables.lock"):
        assert not tools & _names(IMAGE / name)
