"""How a job's time is put together from what several saw of it, and how it is shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from loadtest.bench.broker_watch import BrokerWatch
from loadtest.bench.profile import BEGIN, END, main, write_page
from loadtest.bench.spans import (
    KINDS,
    JobTimes,
    Profile,
    Row,
    Seen,
    Span,
    Trace,
    join,
    profile,
    to_markdown,
)
from loadtest.bench.traced_worker import TimedStore, spans_of
from loadtest.bench.waterfall import SCALE, WIDTH, draw, tick_step_ms
from marea.clock import FakeClock
from marea.errors import ObjectGone
from marea.lifecycle import effects as fx
from marea.pipelines.pipeline import Produced, Source
from marea.storage.memory import MemoryObjectStore

START = 1_700_000_000.0
"""Of the upload. All other times below are ms after it."""


def at(ms: float) -> float:
    return START + ms / 1000


def span(name: str, began_ms: float, ended_ms: float) -> Span:
    return Span(name, at(began_ms), at(ended_ms))


SEEN = Seen(at(0), at(8), at(6), at(9), at(11), at(12), at(50), at(38))
TRACE = Trace(
    "job",
    "a.jpg",
    at(14),
    at(48),
    (
        span("ledger", 14, 15),
        span("ledger", 15, 17),
        span("GET source", 17, 20),
        span("decode", 20, 30),
        span("PUT result", 32, 40),
        span("PUT record", 40, 45),
        span("ledger", 45, 47),
    ),
)


def joined() -> dict[str, tuple[int, int]]:
    """Begin and end in ms, by name."""
    return {
        span.name: (round(1000 * span.began), round(1000 * span.ended))
        for span in join(SEEN, TRACE).spans
    }


def test_the_views_of_client_broker_ledger_and_worker_make_one_row_of_spans() -> None:
    spans = joined()
    assert spans["PUT upload"] == (0, 8)
    assert spans["event to gateway"] == (6, 9)
    assert spans["ledger: accept"] == (9, 11)
    assert spans["broker to worker"] == (11, 12)
    assert spans["worker to child"] == (12, 14)
    assert spans["GET source"] == (17, 20)
    assert spans["acknowledge"] == (48, 50)
    assert list(spans) == [name for name in KINDS if name in spans]


def test_the_calls_of_the_ledger_are_its_claim_before_the_work_and_its_end_after_it() -> None:
    spans = joined()
    assert spans["ledger: claim"] == (14, 17)
    assert spans["ledger: end"] == (45, 47)


def test_two_results_of_one_job_are_one_span() -> None:
    second = span("PUT result", 41, 44)
    trace = Trace("job", "a.jpg", at(14), at(48), (*TRACE.spans[:5], second))
    (put,) = [each for each in join(SEEN, trace).spans if each.name == "PUT result"]
    assert (put.began, put.ended) == pytest.approx((0.032, 0.044), abs=1e-6)


def test_what_no_span_covers_is_the_rest_and_an_overlap_counts_once() -> None:
    job = JobTimes((Span("PUT upload", 0, 3), Span("event to gateway", 2, 4)), 6.0, 5.0)
    assert job.rest_s == 2.0
    # 30 to 32 between two steps, 47 to 48 after the last.
    assert join(SEEN, TRACE).rest_s == pytest.approx(0.003, abs=1e-6)


def test_a_trace_is_read_back_as_the_worker_wrote_it() -> None:
    assert Trace.from_json(json.loads(json.dumps(asdict(TRACE)))) == TRACE


def photo_profile() -> Profile:
    """Three jobs, of 20, 40 and 60 ms."""
    jobs = [
        JobTimes((Span("PUT upload", 0, total / 4), Span("decode", total / 2, total)), total, total)
        for total in (0.060, 0.020, 0.040)
    ]
    return profile("a photo", jobs)


def test_a_profile_has_medians_of_begins_and_lengths() -> None:
    found = photo_profile()
    assert (found.jobs, found.total_ms, found.result_ms) == (3, 40.0, 40.0)
    put, decode = found.rows
    assert (put.name, put.start_ms, put.median_ms, put.share) == ("PUT upload", 0.0, 10.0, 0.25)
    assert (decode.name, decode.start_ms, decode.median_ms) == ("decode", 20.0, 20.0)
    assert decode.p95_ms == pytest.approx(29.0)
    assert found.rest_ms == pytest.approx(10.0)


def test_a_span_that_most_jobs_lack_weighs_nothing() -> None:
    put = Span("PUT upload", 0, 1)
    jobs = [JobTimes((put,), 2, 2), JobTimes((put,), 2, 2)]
    jobs.append(JobTimes((put, Span("HEAD", 1, 2)), 2, 2))
    head = profile("", jobs).rows[-1]
    assert (head.name, head.median_ms) == ("HEAD", 0.0)


def test_a_table_has_a_row_for_each_part_and_one_for_the_rest() -> None:
    lines = list(to_markdown(photo_profile()))
    assert "| PUT upload | store | 10.0 ms | 14.5 ms | 25% |" in lines
    assert "| between them | | 10.0 ms | 14.5 ms | 25% |" in lines
    assert "| **all, to the acknowledgement** | | 40.0 ms | 58.0 ms | |" in lines


@pytest.mark.parametrize(
    ("longest_ms", "step"), [(0.5, 1), (8, 1), (9, 2), (41, 10), (81, 20), (9e9, 1000)]
)
def test_the_axis_has_round_ticks_and_not_too_many(longest_ms: float, step: int) -> None:
    assert tick_step_ms(longest_ms) == step


def test_the_picture_is_sharp_and_as_high_as_its_rows() -> None:
    one = draw([photo_profile()], "2 cores")
    two = draw([photo_profile(), photo_profile()], "2 cores")
    assert one.width == two.width == WIDTH * SCALE
    assert two.height - one.height > (one.height - 100 * SCALE) / 2


def test_each_bar_stands_where_its_span_was_in_the_colour_of_its_kind() -> None:
    picture = draw([photo_profile()], "2 cores")
    blue, green = (0x3B, 0x76, 0xB5), (0x4C, 0x9A, 0x5F)
    body = picture.crop((0, 100 * SCALE, picture.width, picture.height))
    pixels = body.load()
    assert pixels is not None

    def reach(colour: tuple[int, int, int]) -> tuple[int, int]:
        found = [x for x in range(body.width) for y in range(body.height) if pixels[x, y] == colour]
        return min(found), max(found)

    (put_left, put_right), (decode_left, decode_right) = reach(blue), reach(green)
    put, decode = put_right - put_left, decode_right - decode_left
    assert decode / put == pytest.approx(2.0, abs=0.02)
    assert (decode_left - put_left) / put == pytest.approx(2.0, abs=0.02)


def test_a_page_gets_machine_and_tables_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    machine = {
        "at": "2026-01-31",
        "commit": "abc",
        "cores": 2,
        "cpu": "a cpu",
        "python": "3.11",
        "load_before": 0.1,
    }
    write_page(page, machine, [photo_profile()])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n2026-01-31, commit abc, 2 cores (a cpu)")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "**a photo**" in text


def test_arguments_that_cannot_be_used_start_no_servers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n", encoding="utf-8")
    assert main(["--page", str(page)]) == 2
    assert BEGIN in capsys.readouterr().err
    assert main(["--page", str(tmp_path / "missing.md")]) == 2
    assert main(["--uploads", "1"]) == 2
    assert "--uploads" in capsys.readouterr().err


MESSAGE = (
    '{"body": "W10=", "headers": {"id": "job-1", "task": "marea.process"},'
    ' "properties": {"delivery_tag": "tag-1", "priority": 0}}'
)


@pytest.mark.parametrize("message", [MESSAGE, MESSAGE.replace('"', '\\"')])
def test_a_message_is_followed_through_redis_by_its_delivery_tag(message: str) -> None:
    watch = BrokerWatch()
    watch.note(1.0, f"LPUSH images.normal {message}")
    watch.note(2.0, "ZADD marea:unacked_index:w 2.0 tag-1")
    watch.note(2.5, f"HSET marea:unacked:w tag-1 [{message}]")
    assert not watch.wait_until_acknowledged(1, timeout_s=0)
    watch.note(3.0, "HDEL marea:unacked:w tag-2")
    watch.note(4.0, "HDEL marea:unacked:w tag-1")
    assert watch.wait_until_acknowledged(1, timeout_s=0)
    assert watch.pushed_at == {"job-1": 1.0}
    assert watch.taken_at == {"job-1": 2.5}
    assert watch.acknowledged_at == {"job-1": 4.0}


def names(effect: fx.Effect[object], reply: object = None) -> list[tuple[str, float, float]]:
    spans = spans_of(effect, reply, 1.0, 5.0, ".marea/")
    return [(span.name, span.began, span.ended) for span in spans]


def put(key: str) -> fx.PutObject:
    return fx.PutObject("results", key, b"", "text/plain", {}, fx.PutCondition())


def test_a_record_is_told_from_a_result_by_its_place() -> None:
    assert names(put("a.jpg")) == [("PUT result", 1.0, 5.0)]
    assert names(put(".marea/records/a.jpg")) == [("PUT record", 1.0, 5.0)]


def test_a_pipeline_is_shown_by_the_stages_that_it_tells() -> None:
    run = fx.RunPipeline("grayscale", Source(b"", "a.jpg"))
    timings = {"decode": 1.0, "orient": 0.25, "grayscale": 0.5, "encode": 2.0}
    assert names(run, Produced((), timings_s=timings)) == [
        ("decode", 1.0, 2.0),
        ("steps", 2.0, 2.75),
        ("encode", 2.75, 4.75),
    ]
    assert names(run, Produced(())) == [("pipeline", 1.0, 5.0)]
    assert names(run, ValueError("no image")) == [("pipeline", 1.0, 5.0)]


def test_the_clock_is_no_part_of_a_picture() -> None:
    assert names(fx.ReadClock()) == []


def test_reading_a_source_is_timed_at_the_store_also_when_it_fails() -> None:
    clock = FakeClock(5.0)
    store = MemoryObjectStore(clock)
    store.create_bucket("uploads", versioned=False)
    ref = store.upload("uploads", "a.jpg", b"body")
    told: list[Span] = []
    timed = TimedStore(store, clock, told.append)
    assert timed.get(ref, max_bytes=10).data == b"body"
    timed.delete("uploads", "a.jpg")
    with pytest.raises(ObjectGone):
        timed.get(ref, max_bytes=10)
    assert told == [Span("GET source", 5.0, 5.0)] * 2


def test_a_source_that_is_read_while_the_job_is_claimed_does_not_end_the_claim() -> None:
    early = (span("GET source", 14, 16), *TRACE.spans[:2], *TRACE.spans[3:])
    spans = {
        each.name: (round(1000 * each.began), round(1000 * each.ended))
        for each in join(SEEN, Trace("job", "a.jpg", at(14), at(48), early)).spans
    }
    assert spans["GET source"] == (14, 16)
    assert spans["ledger: claim"] == (14, 17)
    assert spans["ledger: end"] == (45, 47)


def test_every_row_has_a_colour() -> None:
    assert Row("decode", 0, 0, 0, 0).kind == "computing"
