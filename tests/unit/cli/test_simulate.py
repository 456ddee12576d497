"""`marea scaling simulate`: its table, its JSON, its files, and what it refuses."""

from __future__ import annotations

import json

import pytest
from command_line import CommandLine

FIGURES = [
    "drain_s",
    "wait_p50_s",
    "wait_p95_s",
    "wait_p99_s",
    "first_start_s",
    "worker_seconds",
    "overshoot",
    "interrupted",
    "lost_work_s",
    "actions",
    "slo_misses",
]
POLICIES = ["builtin", "keda", "keda-tuned", "hpa", "airflow", "knative", "lambda", "oracle"]

ONE_SEED = ("--seeds", "1")

SHORT = "\n".join(json.dumps({"at": n, "work_s": 2.0}) for n in range(20))


@pytest.fixture
def short(shell: CommandLine) -> str:
    (shell.folder / "short.jsonl").write_text(SHORT)
    return "short.jsonl"


def test_json_has_every_policy_with_every_figure(shell: CommandLine, short: str) -> None:
    ended = shell.run("scaling", "simulate", "--trace", short, "--seeds", "2", "--json")
    assert ended.status == 0
    document = json.loads(ended.out)
    assert list(document) == ["trace", "policies"]
    assert document["trace"] == short
    assert list(document["policies"]) == POLICIES
    assert all(list(figures) == FIGURES for figures in document["policies"].values())
    assert document["policies"]["builtin"]["interrupted"] == 0


def test_several_traces_make_a_list(shell: CommandLine, short: str) -> None:
    ended = shell.run(
        *("scaling", "simulate", "--trace", short, "--trace", "trickle"),
        *("--policy", "builtin", "--seeds", "1", "--json"),
    )
    assert [each["trace"] for each in json.loads(ended.out)] == [short, "trickle"]


def test_the_table_has_a_line_for_each_policy_that_was_asked_for(
    shell: CommandLine, short: str
) -> None:
    ended = shell.run(
        *("scaling", "simulate", "--trace", short, "--seeds", "1"),
        *("--policy", "keda", "--policy", "oracle"),
    )
    rows = [line.split()[0] for line in ended.out.splitlines() if line]
    assert rows == ["short.jsonl", "policy", "keda", "oracle"]


def test_ours_is_set_beside_the_others_in_one_table(shell: CommandLine, short: str) -> None:
    ended = shell.run("scaling", "simulate", "--trace", short, "--trace", "small-burst", *ONE_SEED)
    lines = ended.out.splitlines()
    start = lines.index("builtin over the others below 1 is better for builtin")
    rows = [line.split() for line in lines[start + 1 :] if line]
    assert rows[0][:3] == ["trace", "drain/oracle", "worker-s/oracle"]
    assert rows[0][3:] == ["p95/keda-tuned", "worker-s/keda-tuned", "interrupted"]
    assert [row[0] for row in rows[1:]] == [short, "small-burst"]
    assert float(rows[2][3]) < 1 < float(rows[2][2])


def test_seeds_make_runs_repeatable(shell: CommandLine) -> None:
    words = ("scaling", "simulate", "--trace", "trickle", "--policy", "keda", "--seeds", "2")
    assert shell.run(*words, "--json").out == shell.run(*words, "--json").out


def test_report_and_plot_are_written(shell: CommandLine, short: str) -> None:
    ended = shell.run(
        *("scaling", "simulate", "--trace", short, "--seeds", "1", "--policy", "builtin"),
        *("--report", "report.html", "--plot", "plot.png"),
    )
    assert ended.status == 0
    written = (shell.folder / "report.html").read_text()
    assert "</html>" in written
    assert written.count("drained in ") == 1
    assert (shell.folder / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "say which: burst, small-burst, spikes"),
        (("--trace", "nope"), "'nope' is neither a file nor one of burst"),
        (("--trace", "burst", "--policy", "kedda"), "no policy 'kedda'; there are builtin, keda"),
        (("--all", "--plot", "x.png"), "a picture shows one trace; use --report"),
        (("--trace", "burst", "--report", "no/x.html"), "no/x.html cannot be written"),
        (("--trace", "."), ". cannot be read"),
        (("--trace", "bad.jsonl"), "bad.jsonl, line 1: "),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    shell: CommandLine, words: tuple[str, ...], sentence: str
) -> None:
    (shell.folder / "bad.jsonl").write_text("{}")
    ended = shell.run("scaling", "simulate", *words)
    assert ended.status == 2
    assert sentence in " ".join(ended.err.split())
