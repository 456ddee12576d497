"""What a pool's parent imports for its children, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from marea.pipelines.catalog import import_libraries, load_catalog

LIBRARIES = ("PIL", "boto3", "fastapi", "numpy", "pandas", "pyarrow", "uvicorn")
PREPARE = """
import json, sys
from marea.settings import load_settings
from marea.worker.app import worker_parts
settings = load_settings({}, overrides={"worker": {"pool": sys.argv[1]}})
parts = worker_parts(settings)
parts.prepare()
import threading
print(json.dumps({"modules": list(sys.modules), "threads": threading.active_count()}))
"""
FORK = """
import gc, os, sys
from celery.platforms import set_pdeathsig
from marea.worker.app import share_with_children
share_with_children(lambda: None)
if os.fork() == 0:
    before = set(sys.modules)
    set_pdeathsig("SIGKILL")
    print(len(gc.get_objects()) < 10_000, sorted(set(sys.modules) - before), flush=True)
    os._exit(0)
os.wait()
"""


def prepared(pool: str) -> set[str]:
    """Modules of a parent that is about to fork; none of them may have started a thread."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, pool],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["threads"] == 1
    return set(told["modules"])


def test_an_image_pool_shares_pillow_and_has_nothing_of_tables_or_http() -> None:
    assert prepared("images") & set(LIBRARIES) == {"PIL"}
    assert "PIL.JpegImagePlugin" in prepared("images")


@pytest.mark.parametrize("pool", ["tables", "quarantine"])
def test_pandas_is_never_imported_before_a_fork(pool: str) -> None:
    assert prepared(pool) & set(LIBRARIES) == set()


def test_a_pool_of_the_users_own_shares_what_its_pipelines_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = load_catalog("pipelines: [{name: mine, pool: portraits, steps: [grayscale]}]")
    monkeypatch.delitem(sys.modules, "marea.pipelines.images.render", raising=False)
    import_libraries(declared.values(), "portraits")
    assert "marea.pipelines.images.render" in sys.modules


def test_a_child_loads_nothing_to_die_with_its_parent_and_collects_nothing_of_its() -> None:
    """Either would give it a copy of the pages that it shares with the others."""
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True []\n"
