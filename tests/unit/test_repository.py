"""The repository keeps its own rules: sizes, names of hosts, the lock, generated pages."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from marea.cli.settings_table import settings_table, to_markdown

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "service" / "marea"
MAX_LINES = 400

# Put together here so that this file does not contain what it looks for.
INDEX_HOSTS = re.compile(
    r"pypi\." + r"(org|python)|pythonhosted\." + r"org|--(extra-)?index-" + r"url[ =]"
    r"|proxy\.golang\." + r"org|registry\.npmjs\." + r"org|deb\.debian\." + r"org",
    re.IGNORECASE,
)
MACHINE_PATHS = re.compile(r"/(work|ro" + r"ot|home/[a-z]+)/")


def _files() -> Iterator[tuple[str, str]]:
    """Name and text of every tracked or new text file that is not ignored."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        if not path.is_file():
            continue
        try:
            yield name, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_package_index() -> None:
    assert [name for name, text in _files() if INDEX_HOSTS.search(text)] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert [name for name, text in _files() if MACHINE_PATHS.search(text)] == []


def test_no_file_of_the_package_is_too_long() -> None:
    lengths = {
        str(path.relative_to(SERVICE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SERVICE.rglob("*.py")
    }
    assert len(lengths) > 30
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(SERVICE))
        for path in SERVICE.rglob("*.py")
        if not re.match(r'"""[^"\n]{10,}', path.read_text(encoding="utf-8"))
    ]
    assert silent == []


def test_the_lock_pins_every_package_by_hash_and_names_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    requirements = text.replace("\\\n", " ").splitlines()
    assert len(requirements) > 50
    for requirement in requirements:
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_settings_page_tells_the_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == to_markdown(settings_table()), "run `make docs`"


def test_every_decision_has_a_number_of_its_own_and_the_same_parts() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Rejected"], page.name


def test_every_make_target_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## \S", text, re.MULTILINE))
    assert targets == explained
    assert {"dev", "demo", "test", "check", "lock", "clean"} <= targets
