"""Finding servers: where they are looked for, and what is said when they cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from marea.errors import ConfigError
from marea.up.tools import find_minio, find_redis, tool_cache


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, next to an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_valkey_is_taken_before_redis(path: Path) -> None:
    _program(path / "redis-server")
    valkey = _program(path / "valkey-server")
    assert find_redis() == valkey


def test_minio_on_the_path_is_taken_before_the_cache(path: Path) -> None:
    cached = _program(tool_cache() / "minio")
    assert find_minio() == cached
    on_path = _program(path / "minio")
    assert find_minio() == on_path


def test_minio_is_built_into_the_cache_once_and_that_is_said(path: Path) -> None:
    _go(path, version="go1.26.1", install='touch "$GOBIN/minio"; chmod +x "$GOBIN/minio"')
    said: list[str] = []

    built = find_minio(say=said.append)

    assert built == tool_cache() / "minio"
    assert built.exists()
    assert said[0].startswith("building MinIO from its Go module")
    assert said[-1].startswith("  done in ")
    said.clear()
    assert find_minio(say=said.append) == built
    assert said == []


def test_a_failed_build_shows_what_go_said(path: Path) -> None:
    _go(path, version="go1.26.1", install="echo no network; false")
    said: list[str] = []
    with pytest.raises(ConfigError, match="could not be built"):
        find_minio(say=said.append)
    assert "no network" in said[-1]


def test_an_old_go_is_named(path: Path) -> None:
    _go(path, version="go1.19.8", install="true")
    with pytest.raises(ConfigError, match=r"needs Go 1\.24; .*go1\.19\.8"):
        find_minio()


def test_what_cannot_be_had_says_what_to_do(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no MinIO: .*Go 1\.24.*MAREA_STORE__ENDPOINT_URL"):
        find_minio()


def test_nothing_is_built_unless_wanted(path: Path) -> None:
    _go(path, version="go1.26.1", install="exit 9")
    with pytest.raises(ConfigError, match="no MinIO"):
        find_minio(install=False, say=pytest.fail)


def _program(file: Path, text: str = "#!/bin/sh\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return file


def _go(folder: Path, *, version: str, install: str) -> None:
    """A stand-in for the Go command: `go env GOVERSION` and `go install`."""
    _program(
        folder / "go",
        "#!/bin/sh\n"
        "PATH=/usr/bin:/bin\n"
        f'case "$1" in env) echo {version};; install) {install};; esac\n',
    )
