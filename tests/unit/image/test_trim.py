"""What `k8s/image/trim.py` takes out of libraries, and when it refuses."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "k8s" / "image" / "trim.py"


@pytest.fixture(scope="module")
def trim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_trim", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def _library(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 100)
    return folder


def test_removes_what_a_rule_names_and_keeps_what_it_excepts(
    trim: ModuleType, tmp_path: Path
) -> None:
    site = _library(tmp_path, "lib/data/s3/a.json", "lib/data/ec2/a.json", "lib/data/b.json")
    rule = trim.Rule("lib", ("data/*",), "only S3 is spoken", frozenset({"s3"}))
    assert trim.trim(site, (rule,)) == 200
    left = [path for path in site.rglob("*") if path.is_file()]
    assert [str(path.relative_to(site)) for path in left] == ["lib/data/s3/a.json"]


def test_refuses_a_rule_that_finds_nothing_in_its_library(trim: ModuleType, tmp_path: Path) -> None:
    site = _library(tmp_path, "lib/new_name.so")
    with pytest.raises(SystemExit, match=r"lib has no old\.so any more \(never loaded\).*trim\.py"):
        trim.trim(site, (trim.Rule("lib", ("old.so",), "never loaded"),))


def test_refuses_a_library_that_lacks_what_must_stay(trim: ModuleType, tmp_path: Path) -> None:
    site = _library(tmp_path, "lib/data/ec2/a.json")
    rule = trim.Rule("lib", ("data/*",), "only S3 is spoken", frozenset({"s3"}))
    with pytest.raises(SystemExit, match="lib lacks s3, which the image needs"):
        trim.trim(site, (rule,))


def test_leaves_out_the_rules_of_a_library_that_is_not_installed(
    trim: ModuleType, tmp_path: Path
) -> None:
    assert trim.trim(tmp_path, (trim.Rule("lib", ("data/*",), "never loaded"),)) == 0


def test_a_file_that_went_with_its_folder_is_counted_once(trim: ModuleType, tmp_path: Path) -> None:
    site = _library(tmp_path, "lib/tests/a.pyi", "lib/b.pyi")
    rules = (trim.Rule("lib", ("tests", "**/*.pyi"), "types and tests"),)
    assert trim.trim(site, rules) == 200
