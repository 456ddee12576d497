"""The line of uploads: in their order, once each, and none before it is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.runs.data import Way
from loadtest.schedule import Arrival
from loadtest.users.line import Line

BEGAN_AT = 1_000_000.0


class Hours:
    """A clock that moves when somebody sleeps, or is made to."""

    def __init__(self) -> None:
        self.now_s = BEGAN_AT
        self.slept: list[float] = []

    def now(self) -> float:
        return self.now_s

    def sleep(self, pause_s: float) -> None:
        self.slept.append(pause_s)
        self.now_s += pause_s


def arrivals(due: list[float], way: Way = "s3", first: int = 0) -> list[Arrival]:
    return [
        Arrival(first + number, at_s, way, "tiny", f"a/{first + number}.jpg", first + number)
        for number, at_s in enumerate(sorted(due))
    ]


def begun(due: list[float]) -> tuple[Line, Hours]:
    hours = Hours()
    line = Line(now=hours.now, sleep=hours.sleep)
    line.begin(arrivals(due), BEGAN_AT)
    return line, hours


DUE = st.lists(st.floats(0.0, 1000.0), max_size=30)


@given(due=DUE, took=st.lists(st.floats(0.0, 100.0), min_size=30, max_size=30))
def test_each_upload_goes_once_in_order_and_never_before_it_is_due(
    due: list[float], took: list[float]
) -> None:
    line, hours = begun(due)
    handed: list[Arrival] = []
    while (arrival := line.take("s3")) is not None:
        assert hours.now_s >= BEGAN_AT + arrival.due_s - 1e-6
        handed.append(arrival)
        hours.now_s += took[len(handed) - 1]
        line.done()
    assert handed == arrivals(due)
    assert line.take("s3") is None


@given(due=DUE, took=st.floats(0.0, 100.0))
def test_a_slow_sender_makes_later_uploads_late_and_due_when_they_were(
    due: list[float], took: float
) -> None:
    line, hours = begun(due)
    free_at = BEGAN_AT
    for wanted in sorted(due):
        arrival = line.take("s3")
        assert arrival is not None
        assert arrival.due_s == wanted
        # At its time, or at once where its sender was busy then: nobody waits any longer.
        assert abs(hours.now_s - max(free_at, BEGAN_AT + wanted)) < 1e-6
        hours.now_s += took
        free_at = hours.now_s


def test_what_is_due_already_is_not_waited_for() -> None:
    line, hours = begun([0.0, 1.0, 2.0])
    hours.now_s = BEGAN_AT + 5
    assert [line.take("s3") is not None for _ in range(3)] == [True] * 3
    assert hours.slept == []


def test_what_is_taken_is_left_until_it_is_answered() -> None:
    line, _ = begun([0.0, 0.0, 0.0])
    assert line.left == 3
    line.take("s3")
    line.take("s3")
    assert line.left == 3
    line.done()
    assert line.left == 2
    line.take("s3")
    line.done()
    line.done()
    assert line.left == 0


def test_before_the_beginning_nobody_knows_what_is_left() -> None:
    line = Line()
    assert line.left is None
    assert line.take("s3") is None


def test_the_ways_do_not_wait_for_each_other() -> None:
    hours = Hours()
    line = Line(now=hours.now, sleep=hours.sleep)
    line.begin([*arrivals([5.0]), *arrivals([1.0, 2.0], "presigned", 1)], BEGAN_AT)
    taken = [line.take(way) for way in ("presigned", "presigned", "presigned", "job", "s3")]
    assert [each and each.due_s for each in taken] == [1.0, 2.0, None, None, 5.0]


def test_a_line_that_begins_anew_forgets_what_was_there() -> None:
    line, _ = begun([0.0, 1.0])
    line.begin((), 0.0)
    assert line.left is None
    assert line.take("s3") is None


def test_an_ended_line_hands_out_nothing_and_has_nothing_left() -> None:
    line, _ = begun([0.0, 0.0, 5.0])
    assert line.take("s3") is not None
    line.end()
    assert line.take("s3") is None
    assert line.left == 1, "the upload that is under way"
    line.done()
    assert line.left == 0


def test_who_waits_for_an_upload_to_be_due_gets_none_if_the_line_ends_meanwhile() -> None:
    hours = Hours()
    line = Line(now=hours.now, sleep=lambda _: line.end())
    line.begin(arrivals([60.0]), BEGAN_AT)
    assert line.take("s3") is None
    assert line.left == 0


def test_an_upload_of_an_earlier_schedule_is_not_handed_out_in_the_next() -> None:
    hours = Hours()
    line = Line(now=hours.now, sleep=lambda _: line.begin(arrivals([0.0], first=7), BEGAN_AT))
    line.begin(arrivals([60.0]), BEGAN_AT)
    assert line.take("s3") is None
    assert [arrival.number for arrival in [line.take("s3")] if arrival] == [7]
