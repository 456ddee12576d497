"""The page and the picture of a run: they stand alone, escape what they are told, say what is
not known, and are drawn for every state that a run can end in.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from example_run import example_run
from PIL import Image

from loadtest.report.__main__ import main
from loadtest.report.compare import compare_page, compare_png, differences, ratio
from loadtest.report.page import page
from loadtest.report.summary import summary_png
from loadtest.runs.data import Decision, Limit, Run, Send
from loadtest.runs.figures import ABOUT, figures_of
from loadtest.runs.folder import save_run

RUN = example_run()
NASTY = '<script>alert("1")</script>$\\frac{1}{0}$ \x07&'
BARE = replace(
    RUN,
    partial="the bucket could not be reached",
    settled_s=None,
    machine={},
    target={},
    shape={},
    calibration={},
    sends=(),
    samples=(),
    jobs=(),
    decisions=(),
    checker={},
    limits=(),
)
STATES = {
    "whole": RUN,
    "nothing at all": BARE,
    "no samples": replace(RUN, samples=()),
    "no records": replace(RUN, jobs=()),
    "one upload": replace(RUN, sends=RUN.sends[:1], jobs=RUN.jobs[:1], samples=RUN.samples[:1]),
    "no times": replace(
        RUN,
        jobs=tuple(
            replace(j, uploaded_s=None, accepted_s=None, started_s=None, finished_s=None)
            for j in RUN.jobs
        ),
    ),
}


def page_of(run: Run) -> str:
    if run is RUN:
        return whole_page()
    return page(run, figures_of(run), ABOUT)


@cache
def whole_page() -> str:
    return page(RUN, figures_of(RUN), ABOUT)


def text_of(html: str) -> str:
    """What a reader sees, roughly: no style, no pictures, no tags."""
    html = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize("name", STATES)
def test_every_state_of_a_run_has_a_page_and_a_picture(name: str) -> None:
    html = page_of(STATES[name])
    assert html.startswith("<!doctype html>")
    assert "nan" not in re.findall(r'd="([^"]*)"', html)
    with Image.open(io.BytesIO(summary_png(STATES[name], figures_of(STATES[name])))) as picture:
        assert picture.width == 1600
        assert picture.height > 1600


def test_the_page_stands_alone_and_is_small() -> None:
    html = page_of(RUN)
    assert len(html) < 2_000_000
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert "@import" not in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_text_from_outside_is_escaped_in_the_page_and_in_its_pictures() -> None:
    send = Send(0, 0.0, 0.0, 0.1, "s3", NASTY, NASTY, 1, "failed", NASTY)
    run = replace(
        RUN,
        scenario=NASTY,
        about=NASTY,
        partial=NASTY,
        command=NASTY,
        notes=(NASTY,),
        shape={"name": NASTY, NASTY: NASTY},
        target={"kind": NASTY, NASTY: {NASTY: [NASTY]}},
        machine={NASTY: NASTY},
        sends=(send,),
        samples=tuple(
            replace(s, ready={NASTY: 1}, wanted={NASTY: 1}, replicas={NASTY: 1}, cpu={NASTY: 0.5})
            for s in RUN.samples
        ),
        jobs=tuple(replace(job, key=NASTY, pool=NASTY) for job in RUN.jobs),
        decisions=(Decision(1.0, NASTY, 2, NASTY), Decision(2.0, "images", 3, NASTY)),
        checker={**RUN.checker, "findings": [{"kind": NASTY, "key": NASTY, "reason": NASTY}]},
        limits=(Limit(NASTY, "at most", 1.0, 2.0, NASTY),),
    )
    html = page(run, {NASTY: 1.0}, {NASTY: NASTY})
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert summary_png(run, {NASTY: 1.0})[:4] == b"\x89PNG"
    pair = compare_page(run, RUN, (NASTY, NASTY), ({NASTY: 1.0}, {}), {NASTY: NASTY})
    assert "<script" not in pair


def test_a_partial_run_says_so_before_anything_else() -> None:
    seen = text_of(page_of(replace(RUN, partial="interrupted after 12 s")))
    told = seen.index("This run is not whole: interrupted after 12 s")
    assert told < seen.index("What happened")
    assert "not whole" not in text_of(page_of(RUN))


def test_a_limit_that_was_not_kept_is_in_the_headline_and_first_in_the_table() -> None:
    limit = Limit("latency_p95_s", "at most", 20.0, 39.2, "somebody waits")
    html = page_of(replace(RUN, limits=(*RUN.limits, limit)))
    headline, rest = html.split("<h2>", 1)
    assert "FAILED" in headline
    assert "latency_p95_s is 39.2 s, wanted at most 20 s" in headline
    table = rest.split("<h2>Limits</h2>")[1]
    assert table.index("39.2 s") < table.index("put_p99_s")


def test_what_nobody_could_see_is_said_and_not_shown_as_none() -> None:
    blind = text_of(page_of(replace(RUN, samples=(), jobs=(), checker={}, settled_s=None)))
    assert "No look at the platform succeeded" in blind
    assert "The checker did not judge this run" in blind
    assert "Not known: no job was seen with its times" in blind
    assert "no record was seen" in blind
    assert "0 lost" not in blind


def test_uploads_that_failed_are_told_with_the_words_of_whoever_refused() -> None:
    sends = [replace(s, outcome="failed", problem="503 SlowDown") for s in RUN.sends[:7]]
    assert "7 failed: 503 SlowDown" in text_of(
        page_of(replace(RUN, sends=(*sends, *RUN.sends[7:])))
    )


def test_decisions_are_all_in_the_table_by_their_numbers() -> None:
    seen = text_of(page_of(RUN))
    for number, decision in enumerate(sorted(RUN.decisions, key=lambda d: d.at_s), start=1):
        assert re.search(rf"\b{number} \S+( s)? images .*?{re.escape(decision.reason)}", seen)


def test_a_picture_has_a_gap_where_nobody_looked() -> None:
    blind = [s for s in RUN.samples if not 20 < s.at_s < 60]
    whole, holed = page_of(RUN), page_of(replace(RUN, samples=tuple(blind)))

    def longest_move(html: str) -> float:
        """The widest flat stretch that the line `in the broker` is drawn over."""
        svg = html.split('<figure id="timeline">')[1].split("</svg>")[0]
        paths = re.findall(r'<path d="([^"]+)"[^>]*stroke: #d55e00', svg, re.DOTALL)
        return max(_longest_stretch(path) for path in paths)

    assert longest_move(holed) < 3 * longest_move(whole)


def _longest_stretch(path: str) -> float:
    """The longest horizontal way of one drawn stroke; a pen lifted (M) draws none."""
    points = re.findall(r"([ML]) ([\d.]+) [\d.]+", path)
    return max(
        (float(x) - float(before) for (_, before), (move, x) in pairwise(points) if move == "L"),
        default=0.0,
    )


def test_two_like_runs_are_compared_without_a_warning() -> None:
    assert differences(RUN, example_run(seed=8)) == []
    assert "not alike" not in compare(replace(BARE, partial=""), replace(BARE, partial=""))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scenario": "ramp"}, "other scenarios: spike and ramp"),
        ({"shape": {**RUN.shape, "peak_per_s": 64}}, "peak_per_s 32/s and 64/s"),
        ({"machine": {**RUN.machine, "cpu_count": 16}}, "the machine differs: cpu_count 2 and 16"),
        ({"partial": "interrupted"}, "only one of the two runs is whole"),
        ({"calibration": {"steady_jobs_per_s": 30.0}}, "steady_jobs_per_s 14.8/s and 30/s"),
    ],
)
def test_comparing_unlike_runs_warns_and_names_the_difference(
    change: dict[str, object], words: str
) -> None:
    other = replace(RUN, **change)  # type: ignore[arg-type]
    assert words in "; ".join(differences(RUN, other))


def test_the_warning_stands_above_the_figures_of_unlike_runs() -> None:
    seen = text_of(compare(RUN, replace(RUN, scenario="ramp")))
    assert seen.index("other scenarios: spike and ramp") < seen.index("Ratio")


def compare(a: Run, b: Run) -> str:
    return compare_page(a, b, ("builtin", "keda"), (figures_of(a), figures_of(b)), ABOUT)


@pytest.mark.parametrize("name", ["nothing at all", "no samples", "no times"])
def test_a_run_in_any_state_can_be_compared_with_a_whole_one(name: str) -> None:
    assert "builtin and keda, side by side" in compare(RUN, STATES[name])
    with Image.open(io.BytesIO(compare_png(RUN, STATES[name], ("builtin", "keda")))) as picture:
        assert picture.width == 1600


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (2.0, 3.0, "× 1.50"),
        (2.0, 2.01, "× 1.00"),
        (0.0, 0.0, "same"),
        (0.0, 5.0, "–"),
        (None, 5.0, "–"),
        (5.0, None, "–"),
    ],
)
def test_a_ratio_is_told_only_where_there_is_one(
    one: float | None, other: float | None, said: str
) -> None:
    assert ratio(one, other) == said


def run_main(arguments: Sequence[str | Path]) -> int:
    return main([str(each) for each in arguments])


def test_make_writes_page_and_picture_into_the_runs_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_run(RUN, tmp_path / "run")
    assert run_main(["make", tmp_path / "run"]) == 0
    assert "PASSED" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "run" / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert "PASSED: 1,080 uploads checked" in capsys.readouterr().out


def test_compare_names_two_folders_of_one_name_by_their_parents(tmp_path: Path) -> None:
    for parent in ("builtin", "keda"):
        save_run(RUN, tmp_path / parent / "spike")
    out, png = tmp_path / "c.html", tmp_path / "c.png"
    folders = [tmp_path / "builtin" / "spike", tmp_path / "keda" / "spike"]
    assert run_main(["compare", *folders, "--out", out, "--png", png]) == 0
    assert "builtin/spike and keda/spike" in out.read_text(encoding="utf-8")
    assert png.read_bytes()[:4] == b"\x89PNG"


def test_a_folder_without_a_run_is_named_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(["make", tmp_path / "absent"]) == 2
    assert run_main(["make", tmp_path]) == 2
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    assert run_main(["make", tmp_path]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert all(line.startswith("error: ") and str(tmp_path) in line for line in told)


def test_half_of_a_surrogate_pair_in_a_key_does_not_stop_the_page(tmp_path: Path) -> None:
    found = [{"kind": "lost", "key": "a\udcffb", "reason": "no record"}]
    run = replace(RUN, checker={**RUN.checker, "valid": False, "lost": 1, "findings": found})
    html = page_of(run)
    assert "a\udcffb" in html
