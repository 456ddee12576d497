"""`marea scaling explain` and `history`, and what `marea status` shows of the pools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from command_line import CommandLine

from marea.cli.scaling import scaling_rows
from marea.clock import SystemClock, to_iso
from marea.queues.memory import MemoryBroker
from marea.results.decisions import LATEST, Decisions, history_of, write_decisions
from marea.results.memory import MemoryLedger
from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Unreadable
from marea.scaling.decision import Decision
from marea.scaling.policy import desired_replicas

TARGET = PoolTarget("images", drain_s=60.0, slots=4, max_replicas=50)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> MemoryLedger:
    """The ledger in memory, which every verb of the test is given, as is a broker."""
    memory = MemoryLedger(SystemClock())
    broker = MemoryBroker()
    broker.declare(("images", "tables"))
    monkeypatch.setattr("marea.wiring.build_ledger", lambda *_: memory)
    monkeypatch.setattr("marea.wiring.build_broker", lambda *_: broker)
    return memory


def burst(at: float, **changes: Any) -> Decision:
    """1,000 jobs of a second each, and a replica of 4 slots."""
    reading = Backlog(
        pool="images",
        at=at,
        ready=1000,
        unacked=4,
        busy=4,
        work_s=1000.0,
        arrivals_per_s=0.0,
        service_s=1.0,
        fleet=Fleet(wanted=1, ready=1),
    )
    return replace(desired_replicas(TARGET, reading, at), **changes)


def hold(at: float) -> Decision:
    reading = Unreadable("images", at, "the broker did not answer", wanted=4)
    return replace(desired_replicas(TARGET, reading, at), applied=4)


def record(ledger: MemoryLedger, pools: Mapping[str, Decision], age_s: float = 0.0) -> None:
    write_decisions(ledger, Decisions(SystemClock().now() - age_s, "builtin", pools))


def test_explain_tells_a_sentence_for_each_pool(shell: CommandLine, ledger: MemoryLedger) -> None:
    now = SystemClock().now()
    tables = replace(hold(now), pool="tables")
    record(ledger, {"images": burst(now), "tables": tables})
    ended = shell.run("scaling", "explain")
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert lines[0] == f"images  {burst(now).reason}"
    assert lines[1] == "tables  held at 4: the broker did not answer"
    assert lines[2] == "decided 0 s ago, mode builtin"


def test_explain_of_one_pool_lists_every_figure(shell: CommandLine, ledger: MemoryLedger) -> None:
    now = SystemClock().now()
    record(ledger, {"images": burst(now), "tables": replace(burst(now), pool="tables")})
    out = shell.run("scaling", "explain", "images").out
    shown = dict(line.split(maxsplit=1) for line in out.splitlines() if len(line.split()) == 2)
    assert shown["work_s"] == "1e+03"
    assert shown["ready"] == "1000"
    assert shown["last_work_at"] == "never"
    assert shown["read_at"] == to_iso(now)
    assert set(burst(now).bounds) | set(burst(now).inputs) <= set(shown)
    assert "tables" not in out


def test_explain_as_json_is_the_decision_itself(shell: CommandLine, ledger: MemoryLedger) -> None:
    now = SystemClock().now()
    record(ledger, {"images": burst(now)}, age_s=7)
    told = json.loads(shell.run("scaling", "explain", "--json").out)
    assert told["pools"]["images"] == burst(now).as_json()
    assert told["mode"] == "builtin"
    assert 7 <= told["age_s"] < 60


def test_explain_of_an_old_decision_asks_after_the_autoscaler(
    shell: CommandLine, ledger: MemoryLedger
) -> None:
    record(ledger, {"images": burst(SystemClock().now())}, age_s=3600)
    assert "s ago, mode builtin: is the autoscaler well?" in shell.run("scaling", "explain").out


@pytest.mark.parametrize("verb", ["explain", "history"])
def test_an_unknown_pool_is_answered_with_the_known(
    shell: CommandLine, ledger: MemoryLedger, verb: str
) -> None:
    record(ledger, {"images": burst(SystemClock().now())})
    ended = shell.run("scaling", verb, "image")
    assert ended.status == 1
    assert ended.err == "error (no-such-pool): there is no pool 'image'; there are images\n"


@pytest.mark.parametrize("words", [["explain"], ["explain", "images"], ["history", "images"]])
def test_where_nobody_decides_that_is_said(
    shell: CommandLine, ledger: MemoryLedger, words: list[str]
) -> None:
    ended = shell.run("scaling", *words)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("error (no-decision): nobody has sized any pool yet")


def test_history_lists_the_latest_first(shell: CommandLine, ledger: MemoryLedger) -> None:
    first, second = burst(1_700_000_000.0, applied=6), hold(1_700_000_060.0)
    for decision in (first, second):
        ledger.note(history_of("images"), decision.as_json())
    title, *rows = shell.run("scaling", "history", "images").out.splitlines()
    assert title.split() == ["when", "from", "to", "why"]
    assert [row.split(maxsplit=3) for row in rows] == [
        ["2023-11-14T22:14:20.000Z", "4", "4", second.reason],
        ["2023-11-14T22:13:20.000Z", "1", "6", first.reason],
    ]
    newest = shell.run("scaling", "history", "images", "--limit", "1").out.splitlines()
    assert len(newest) == 2
    told = json.loads(shell.run("scaling", "history", "images", "--json").out)
    assert told == {"pool": "images", "decisions": [second.as_json(), first.as_json()]}


def test_what_is_not_known_is_a_question_mark(shell: CommandLine, ledger: MemoryLedger) -> None:
    lost = desired_replicas(TARGET, Unreadable("images", 1.0, "no API server"), 1.0)
    ledger.note(history_of("images"), lost.as_json())
    (_, row) = shell.run("scaling", "history", "images").out.splitlines()
    assert row.split()[1:3] == ["?", "?"]


def test_status_shows_what_each_pool_has_and_needs(
    shell: CommandLine, ledger: MemoryLedger
) -> None:
    now = SystemClock().now()
    record(ledger, {"images": burst(now, applied=1), "tables": replace(hold(now), pool="tables")})
    lines = shell.run("status").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("pool "))
    assert lines[start].split() == ["pool", "replicas", "needs", "why"]
    images, tables = burst(now), hold(now)
    assert lines[start + 1].split(maxsplit=3) == [
        "images",
        "1",
        str(images.replicas),
        images.reason,
    ]
    assert lines[start + 2].split(maxsplit=3) == ["tables", "4", "?", tables.reason]
    told = json.loads(shell.run("status", "--json").out)
    assert told["scaling"]["pools"]["images"]["replicas"] == images.replicas


def test_status_tells_that_nobody_decides_any_more() -> None:
    body = Decisions(1000.0, "builtin", {"images": burst(1000.0)}).as_json()
    assert scaling_rows(body, 1030.0)[0][-1].endswith("why[/]")
    assert "why, 31 s ago: is the autoscaler well?" in scaling_rows(body, 1031.0)[0][-1]
    assert scaling_rows(None, 1000.0) == []


def test_status_goes_on_where_the_decisions_cannot_be_read(
    shell: CommandLine, ledger: MemoryLedger
) -> None:
    ledger.set_value(LATEST, {"pools": []})
    ended = shell.run("status")
    assert ended.status == 0
    assert "the ledger's decisions cannot be read" in ended.out
    assert "jobs: none yet" in ended.out
