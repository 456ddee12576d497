"""`marea capacity`: its table, its JSON, what its figures rest on, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

from marea.clock import SystemClock
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.results.memory import MemoryLedger

ASKED = ("capacity", "--uploads-per-hour", "100000", "--p95-wait", "10s")
BY_HAND = (*ASKED, "--service-s", "0.42:1.3")


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> MemoryLedger:
    memory = MemoryLedger(SystemClock())
    monkeypatch.setattr("marea.wiring.build_ledger", lambda *_: memory)
    return memory


def told(shell: CommandLine, *words: str) -> Any:
    ended = shell.run(*words, "--json")
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def rows(out: str) -> dict[str, list[str]]:
    """By section, its lines."""
    parts = [part.splitlines() for part in out.strip().split("\n\n")]
    return {part[0]: part[1:] for part in parts}


def write_run(folder: Path, jobs: int = 100, samples: bool = True) -> str:
    """Jobs of 0.2 and 0.6 s in turn on one slot, and every 10 s a look at two replicas."""
    run = folder / "run"
    run.mkdir()
    lines, now_s = [], 0.0
    for number in range(jobs):
        took_s = 0.6 if number % 2 else 0.2
        body = {"started_s": now_s, "finished_s": now_s + took_s, "state": "done"}
        pipeline = "large" if number % 2 else "small"
        lines.append(json.dumps({**body, "pipeline": pipeline, "size_bytes": 1000}))
        now_s += took_s
    lines.append(json.dumps({"started_s": None, "finished_s": None, "state": "gone"}))
    (run / "jobs.jsonl").write_text("\n".join(lines) + "\n")
    if samples:
        looks = [
            {
                "at_s": now_s * share,
                "cpu": {"worker-images": 0.25, "gateway": 3.0},
                "memory": {"worker-images": 500 * 2**20},
                "replicas": {"images": 2},
                "slots": {"images": 6},
            }
            for share in (0.0, 0.5, 1.0)
        ]
        (run / "samples.jsonl").write_text("".join(json.dumps(look) + "\n" for look in looks))
    return "run"


def save_ended(ledger: MemoryLedger, count: int, took_s: float, **changes: Any) -> None:
    now = SystemClock().now()
    for number in range(count):
        ref = ObjectRef("uploads", f"{changes}/{number}.jpg", "v", "e", 1)
        job = Job(ref, changes.get("pipeline", "thumbnail"), changes.get("pool", "images"))
        state = JobState(
            job,
            changes.get("phase", "done"),
            created_at=now,
            started_at=now,
            finished_at=now + took_s,
            updated_at=now + took_s,
        )
        assert ledger.save(state)


def test_json_has_what_a_pool_needs_with_where_it_is_from(shell: CommandLine) -> None:
    found = told(shell, *BY_HAND)
    assert list(found) == [
        "uploads_per_hour",
        "p95_wait_s",
        "service",
        "replica",
        "fixed",
        "autoscaled",
        "peak",
        "redis",
        "cost_a_day",
    ]
    assert found["service"]["mean_s"] == 0.42
    assert found["service"]["cv"] == 1.3
    assert found["fixed"]["replicas"] == 6
    assert found["fixed"]["p95_wait_s"] <= 10.0
    assert found["fixed"]["replicas_with_reserve"] == 7
    assert found["replica"]["cores"] == pytest.approx(2.0)
    assert found["replica"]["memory_bytes"] == 153 * 2**20
    assert found["redis"]["retention_s"] == 7 * 86_400
    assert found["peak"] is None
    assert found["cost_a_day"] is None


def test_the_table_has_a_reason_for_every_figure(shell: CommandLine) -> None:
    ended = shell.run(*BY_HAND)
    assert (ended.status, ended.err) == (0, "")
    sections = rows(ended.out)
    assert list(sections) == [
        "asked",
        "a fixed pool for the usual load",
        "the autoscaler at the usual load",
        "Redis",
    ]
    for line in [line for lines in sections.values() for line in lines]:
        name, value, why = (cell for cell in line.strip().split("  ") if cell)
        assert min(len(name), len(value)) > 0
        assert len(why.split()) > 1
    assert (
        "1.43 % more than asked; beyond it 95 % wait longer; for a tenth of reserve take 7\n"
        in (ended.out)
    )
    assert "cost" not in ended.out


def test_a_peak_is_told_for_a_fixed_pool_and_for_the_autoscaler(shell: CommandLine) -> None:
    peak = ("--peak-factor", "20", "--peak-s", "1m", "--max-replicas", "30")
    found = told(shell, *BY_HAND, *peak)["peak"]
    assert (found["factor"], found["lasts_s"]) == (20.0, 60.0)
    assert found["fixed"]["replicas"] == 6
    assert found["fixed"]["backlog"] == pytest.approx(60 * (20 * 100_000 / 3600 - 12 / 0.42))
    assert found["autoscaled"]["replicas"] == 30
    assert found["autoscaled"]["drain_s"] < found["fixed"]["drain_s"] / 10
    assert found["ready"]["p95_wait_in_peak_s"] <= 10.0
    shown = shell.run(*BY_HAND, *peak).out
    assert "a peak of 20 times that, for 60 s\n  needs" in shown


def test_what_a_price_is_told_for_is_paid_and_nothing_else(shell: CommandLine) -> None:
    cores = told(shell, *BY_HAND, "--price-core-hour", "0.1")["cost_a_day"]
    assert cores["fixed"] == pytest.approx(6 * 24 * 2 * 0.1)
    both = told(shell, *BY_HAND, "--price-core-hour", "0.1", "--price-gib-hour", "0.01")
    assert both["cost_a_day"]["fixed"] > cores["fixed"]
    shown = shell.run(*BY_HAND, "--price-core-hour", "0.1").out
    assert "memory left out, since no price was told" in shown
    assert "28.80" in rows(shown)["cost of a day"][0]


def test_settings_tell_slots_and_retention_unless_the_command_does(shell: CommandLine) -> None:
    shell.set(
        {
            "MAREA_AUTOSCALER__SLOTS": "3",
            "MAREA_AUTOSCALER__POOLS": '{"tables": {"slots": 5}}',
            "MAREA_LEDGER__RETENTION_S": "3600",
        }
    )
    found = told(shell, *BY_HAND)
    assert (found["replica"]["slots"], found["redis"]["retention_s"]) == (3, 3600)
    assert told(shell, *BY_HAND, "--pool", "tables")["replica"]["slots"] == 5
    found = told(shell, *BY_HAND, "--slots", "7", "--retention", "2h")
    assert (found["replica"]["slots"], found["redis"]["retention_s"]) == (7, 7200)


@pytest.mark.parametrize("named", ["run", "run/jobs.jsonl"])
def test_a_run_tells_times_processors_memory_and_slots(shell: CommandLine, named: str) -> None:
    write_run(shell.folder)
    found = told(shell, *ASKED, "--from", named)
    assert found["service"]["jobs"] == 100
    assert found["service"]["mean_s"] == pytest.approx(0.4)
    assert found["service"]["cv"] == pytest.approx(0.5, rel=0.02)
    assert found["service"]["warnings"] == []
    assert found["service"]["between_s"] is None
    assert found["replica"]["cpu_per_job_s"] == pytest.approx(0.25 * 0.4)
    assert found["replica"]["memory_bytes"] == 250 * 2**20
    assert found["replica"]["slots"] == 3
    assert (
        f"100 jobs in {named}; the time from one to the next is not known\n"
        in shell.run(*ASKED, "--from", named).out
    )


def test_what_a_slot_takes_between_two_jobs_is_counted_where_a_run_saw_it(
    shell: CommandLine,
) -> None:
    """100 jobs of 40 s, two slots that had a queue for 50 s: 60 slot-seconds are nobody's."""
    write_run(shell.folder)
    look = {"replicas": {"images": 1}, "slots": {"images": 2}, "ready": {"images": 9}}
    looks = [json.dumps({"at_s": at_s, **look}) for at_s in (-9.0, 0.0, 50.0)]
    (shell.folder / "run" / "samples.jsonl").write_text("\n".join(looks))
    found = told(shell, *ASKED, "--from", "run")
    assert found["service"]["between_s"] == pytest.approx(0.6)
    assert found["fixed"]["utilisation"] * found["fixed"]["slots"] == pytest.approx(100_000 / 3600)
    assert "400 ms, CV 0.50, and 600 ms to the next job: " in shell.run(*ASKED, "--from", "run").out


def test_what_is_told_counts_more_than_what_a_run_measured(shell: CommandLine) -> None:
    write_run(shell.folder)
    given = ("--cpu-per-job-s", "0.3", "--memory-per-replica", "1GiB", "--slots", "4")
    found = told(shell, *ASKED, "--from", "run", *given)["replica"]
    assert (found["cpu_per_job_s"], found["memory_bytes"], found["slots"]) == (0.3, 2**30, 4)


def test_a_run_of_one_pipeline_counts_only_that(shell: CommandLine) -> None:
    write_run(shell.folder)
    found = told(shell, *ASKED, "--from", "run", "--pipeline", "large")
    assert found["service"]["jobs"] == 50
    assert found["service"]["mean_s"] == pytest.approx(0.6)
    assert found["replica"]["cpu_per_job_s"] == pytest.approx(0.25 * 0.6)


def test_a_run_without_samples_leaves_processors_assumed_and_says_so(shell: CommandLine) -> None:
    write_run(shell.folder, samples=False)
    found = told(shell, *ASKED, "--from", "run")["replica"]
    assert found["cpu_per_job_s"] == pytest.approx(0.4)
    assert found["cpu_from"].startswith("assumed")
    assert found["memory_from"].startswith("assumed")


def test_few_jobs_are_a_warning(shell: CommandLine) -> None:
    write_run(shell.folder, jobs=29)
    ended = shell.run(*ASKED, "--from", "run")
    assert ended.status == 0
    assert ended.err.startswith("warning: the service time rests on 29 jobs, and fewer than 30")


def test_the_ledger_tells_what_ended_jobs_took(shell: CommandLine, ledger: MemoryLedger) -> None:
    save_ended(ledger, 40, 0.5)
    save_ended(ledger, 10, 1.0, phase="rejected")
    save_ended(ledger, 10, 99.0, phase="dead")
    save_ended(ledger, 10, 9.0, phase="running")
    save_ended(ledger, 10, 2.0, pool="tables")
    found = told(shell, *ASKED, "--pool", "images")
    assert found["service"]["jobs"] == 50
    assert found["service"]["mean_s"] == pytest.approx(0.6, rel=1e-3)
    assert "50 jobs of pool images among the ledger's newest" in found["service"]["from"]
    assert told(shell, *ASKED)["service"]["jobs"] == 60


def test_of_the_ledger_the_newest_are_read_and_no_more(
    shell: CommandLine, ledger: MemoryLedger
) -> None:
    save_ended(ledger, 3000, 1.0)
    save_ended(ledger, 3000, 1.0, phase="rejected")
    assert told(shell, *ASKED)["service"]["jobs"] == 5000


def test_an_empty_ledger_is_an_error_in_one_sentence(
    shell: CommandLine, ledger: MemoryLedger
) -> None:
    ended = shell.run(*ASKED)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "error: no job among the ledger's newest was started and ended by a worker; tell what"
        " one takes with --service-s MEAN:CV, or name another load run with --from\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--service-s", "fast"), "'fast' is not MEAN or MEAN:CV; write 0.5 or 0.5:1.2"),
        (("--service-s", "0"), "'0' needs a mean above 0 s and a CV from 0 to 100"),
        (("--service-s", "1:nan"), "'1:nan' needs a mean above 0 s"),
        (("--service-s", "1", "--from", "run"), "tell service times once"),
        (("--from", "nowhere"), "there is no nowhere; name a load run's folder"),
        (
            ("--from", "run", "--pipeline", "none"),
            "no job of pipeline none in run was started and ended by a worker",
        ),
        (("--from", "bad"), "bad/jobs.jsonl, line 1: not JSON"),
        (("--service-s", "1", "--uploads-per-hour", "nan"), "nan is not a number above 0"),
        (("--service-s", "1", "--uploads-per-hour", "-1"), "-1 is not a number above 0"),
        (("--service-s", "1", "--p95-wait", "soon"), "'soon' is not a duration; write 30s"),
        (("--service-s", "1", "--peak-factor", "20"), "a peak has both a height and a length"),
        (("--service-s", "1", "--peak-factor", "0.5", "--peak-s", "9"), "0.5 is not 1 or more"),
        (("--service-s", "1", "--peak-factor", "2", "--peak-s", "0"), "0 is not a number above 0"),
        (("--service-s", "1", "--utilisation", "1.1"), "1.1 is not above 0 and at most 1"),
        (("--service-s", "1", "--memory-per-replica", "0"), "'0' is no memory at all"),
        (("--service-s", "1", "--memory-per-replica", "1 acre"), "has an unknown unit; use B"),
        (("--service-s", "1", "--price-core-hour", "-1"), "-1 is not a number of 0 or more"),
        (
            ("--service-s", "1e6", "--uploads-per-hour", "1e6"),
            "1,000,000 uploads an hour, each 1e+06 s, keep 305,555,556 slots busy with a"
            " tenth of reserve, and at most 1,000,000",
        ),
    ],
)
def test_what_cannot_be_reckoned_is_said_at_once(
    shell: CommandLine, words: tuple[str, ...], sentence: str
) -> None:
    write_run(shell.folder)
    (shell.folder / "bad").mkdir()
    (shell.folder / "bad" / "jobs.jsonl").write_text("{")
    ended = shell.run(*ASKED, *words)
    assert (ended.status, ended.out) == (2, "")
    assert sentence in " ".join(ended.err.split())
