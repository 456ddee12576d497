"""What the tests of the chart share: the shapes, rendered; and what happens without Helm.

On a machine that has no Helm and cannot get one, the tests that need it are skipped; in CI they
fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from render import EXTENSIONS, Object, ToolMissing, render, shapes


def _skip_without_tool(reason: ToolMissing) -> None:
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        raise reason
    pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    try:
        return (yield)
    except ToolMissing as exc:
        _skip_without_tool(exc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    try:
        return (yield)
    except ToolMissing as exc:
        _skip_without_tool(exc)


@pytest.fixture(params=shapes())
def shape(request: pytest.FixtureRequest) -> str:
    """Each supported shape in turn."""
    return str(request.param)


@pytest.fixture
def objects(shape: str) -> list[Object]:
    """What a cluster with every optional extension is given for the shape."""
    return render(shape=shape, api_versions=EXTENSIONS)
