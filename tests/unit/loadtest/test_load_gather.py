"""The end of a run: whatever cannot be read is told, and keeps no limit."""

from __future__ import annotations

import io
from pathlib import Path

from load_runs import send
from load_servers import Answer, answering, closed_port
from rich.console import Console

from loadtest.collect import StoreAddress, open_client
from loadtest.conduct.gather import gather
from loadtest.conduct.plan import Draft, Plan
from loadtest.history import Operation
from loadtest.observe.sampler import Sampler
from loadtest.report.verdict import is_promise
from loadtest.runs.data import Run
from loadtest.runs.folder import load_run, save_run
from loadtest.scenario import load_scenario
from loadtest.target import Target
from loadtest.users.notebook import HISTORY_FILE, Notebook

BEGAN_AT = 1_780_000_000.0
UPLOAD = Operation(
    op="put", bucket="uploads", key="load/x/1.jpg", invoked_at=BEGAN_AT, outcome="ok", etag="e"
)


def gathered(url: str, folder: Path) -> Run:
    notebook = Notebook(folder)
    notebook.record(UPLOAD)
    notebook.sent(send(1))
    notebook.sent(send(0, problem="job API: 500"))
    store = StoreAddress(url, "key", "secret")
    plan = Plan(
        scenario=load_scenario("short"),
        target=Target(store),
        folder=folder,
        environment={},
        about_target={"kind": "address"},
        command="a test",
        scenario_name="short",
    )
    draft = Draft("load/x/", began_at=BEGAN_AT, partial="interrupted 3 s after the first upload")
    return gather(plan, open_client(store), draft, Sampler([]), Console(file=io.StringIO()))


def test_a_store_that_is_away_leaves_a_run_that_is_not_judged_and_says_so(tmp_path: Path) -> None:
    with closed_port() as url:
        run = gathered(url, tmp_path)
    assert any(note.startswith("Not judged: ") and url in note for note in run.notes)
    assert [each.number for each in run.sends] == [0, 1]
    assert run.partial == "interrupted 3 s after the first upload"
    assert any(is_promise(limit) for limit in run.limits)
    assert not any(limit.is_kept for limit in run.limits if is_promise(limit))
    save_run(run, tmp_path)
    assert load_run(tmp_path) == run


def test_a_history_with_half_a_line_leaves_a_run_that_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE).write_text('{"op": "pu\n', encoding="utf-8")
    with answering({"*": Answer(200, b"<ListBucketResult/>")}) as url:
        run = gathered(url, tmp_path)
    assert any(note.startswith("Not judged: history line 1") for note in run.notes)
    assert not any(limit.is_kept for limit in run.limits if is_promise(limit))


def test_what_clients_complained_of_is_told_once_with_an_example(tmp_path: Path) -> None:
    with closed_port() as url:
        run = gathered(url, tmp_path)
    assert "1 upload had a complaint, e.g. job API: 500." in run.notes
