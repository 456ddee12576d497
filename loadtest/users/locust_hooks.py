"""How a scenario runs under Locust: its options, the common beginning, the end.

    master or only process             workers of a distributed run
    ──────────────────────             ────────────────────────────
    all senders are there ── began ──▶ each takes its part of the same schedule
    lines of history ◀── with each of Locust's reports ── what its clients did
    nothing left to send: the end

The schedule is drawn anew in every process, from the same seed. Locust's number of users is the
number of senders: it bounds how many uploads are under way, and never their rate.
"""

from __future__ import annotations

import json
import os
import signal
import time
from argparse import ArgumentParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust import LoadTestShape, User, events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, Runner, WorkerRunner

from loadtest.scenario import ScenarioError, load_scenario
from loadtest.schedule import draw_schedule, part_of
from loadtest.target import target_of
from loadtest.users.line import Line
from loadtest.users.notebook import LOAD_FILE, REPORTED, Notebook
from loadtest.users.session import Session, current_session, set_session

BEGAN, ENDED, LEFT = "marea_began", "marea_ended", "marea_left"
"""Two messages to the workers, and a name in their reports."""
LEAD_S = 1.0
"""Between the last sender's start and the schedule's first moment: the message takes that long at
most on a network."""
LATE_S = 120.0
"""A run ends so long after its schedule whatever is left: senders that hang do not hold it."""


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Marea")
    group.add_argument(
        *("--scenario", "--marea-scenario"),
        env_var="LOADTEST_SCENARIO",
        default="steady",
        help="Name of a scenario, or its folder's path",
    )
    group.add_argument(
        "--marea-out",
        env_var="LOADTEST_OUT",
        default="load-out",
        help="Folder for what the clients did: history.jsonl, sends.jsonl",
    )
    group.add_argument(
        "--marea-prefix",
        env_var="LOADTEST_PREFIX",
        default="",
        help="First part of every key; by default one of this run's own",
    )
    group.add_argument(
        "--marea-factor",
        env_var="LOADTEST_FACTOR",
        type=float,
        default=1.0,
        help="What the shape's rates are multiplied by",
    )


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """The session of this process. Ends the process with a sentence if there is nothing to run."""
    options = environment.parsed_options
    if options is None:
        return
    try:
        load = load_scenario(options.scenario).load
        target = target_of(os.environ)
    except ScenarioError as exc:
        raise SystemExit("\n".join(exc.problems)) from exc
    except ValueError as exc:
        raise SystemExit(str(exc)) from exc
    if not target.gateway_url and load.gateway_ways:
        raise SystemExit(
            "this scenario uploads through the gateway, and none is known: set"
            " LOADTEST_GATEWAY_URL and LOADTEST_API_TOKEN"
        )
    runner = environment.runner
    has_folder = not isinstance(runner, WorkerRunner)
    notebook = Notebook(Path(options.marea_out) if has_folder else None)
    session = Session(load, target, Line(), notebook)
    set_session(session)
    environment.user_classes = _user_classes(environment.user_classes, session)
    environment.stop_timeout = LATE_S
    if isinstance(runner, WorkerRunner):
        runner.register_message(BEGAN, _begin_as_told)
        runner.register_message(ENDED, end_line)
    # Without a page Locust hears SIGTERM only once the test is over: before, it would end at once,
    # and uploads under way would be in the store and in no history.
    gevent.signal_handler(signal.SIGTERM, _break_off)


@dataclass
class _Test:
    """What Locust runs at the moment."""

    runner: Runner | None = None
    factor: float = 1.0
    prefix: str = ""
    left: dict[str, int] = field(default_factory=dict)
    """Uploads that are left, by each worker's last report."""


_test = _Test()


def _user_classes(classes: list[type[User]], session: Session) -> list[type[User]]:
    """Those that the scenario needs, each with its number."""
    wanted = []
    senders = _senders(session)
    for each in classes:
        each.host = session.target.store.endpoint_url or "AWS"  # shown by Locust's page
        count = session.load.watchers
        if (way := getattr(each, "way", None)) is not None:
            count = senders.get(way, 0)
        if count:
            each.fixed_count = count
            wanted.append(each)
    return wanted


def _senders(session: Session) -> dict[str, int]:
    """So many for each way, by its share; each has one at least."""
    weights = {way: weight for way, weight in session.load.ways.items() if weight > 0}
    whole = sum(weights.values())
    return {
        way: max(1, round(session.load.senders * weight / whole)) for way, weight in weights.items()
    }


@events.spawning_complete.add_listener
def begin(**_: Any) -> None:
    """All senders are there: the schedule begins a moment from now, everywhere at once."""
    session, runner = current_session(), _test.runner
    if isinstance(runner, WorkerRunner) or session.line.began_at:
        return
    began_at = time.time() + LEAD_S
    if isinstance(runner, MasterRunner):
        workers = list(runner.clients)
        for rank, client in enumerate(workers):
            part = {"at": began_at, "rank": rank, "of": len(workers), "prefix": _test.prefix}
            runner.send_message(BEGAN, part, client_id=client)
        session.line.begin((), began_at)
    else:
        _take_part(session, began_at, 0, 1, _test.prefix)
    _note_beginning(session, began_at)


def _begin_as_told(msg: Any, **_: Any) -> None:
    data = msg.data
    _take_part(current_session(), data["at"], data["rank"], data["of"], data["prefix"])


def _take_part(session: Session, began_at: float, rank: int, of: int, prefix: str) -> None:
    arrivals = draw_schedule(session.load, prefix, _test.factor)
    session.line.begin(part_of(arrivals, rank, of), began_at)


@events.test_start.add_listener
def note_test(environment: Environment, **_: Any) -> None:
    """A test that is started anew, by the web page, begins its schedule anew under other keys."""
    options = environment.parsed_options
    _test.runner = environment.runner
    if options is not None:
        _test.factor = options.marea_factor
        _test.prefix = options.marea_prefix or f"load/{int(time.time())}/"
    _test.left.clear()
    current_session().line.begin((), 0.0)  # of a worker too, which asks no shape


@events.test_stopping.add_listener
def end_line(**_: Any) -> None:
    """Locust now kills each user that is between two tasks, and its kill comes a moment later: one
    that had begun an upload by then would leave it in the store, and in no history."""
    current_session().line.end()


def _break_off() -> None:
    """Nothing more is sent, here and by the workers; the shape ends the test once what is under way
    has been answered and written down."""
    end_line()
    if isinstance(_test.runner, MasterRunner):
        _test.runner.send_message(ENDED)


def _note_beginning(session: Session, began_at: float) -> None:
    body = {"began_at": began_at, "prefix": _test.prefix}
    session.notebook.put_aside(LOAD_FILE, json.dumps(body))


@events.report_to_master.add_listener
def hand_over(data: dict[str, Any], **_: Any) -> None:
    session = current_session()
    data[REPORTED] = session.notebook.hand_over()
    data[LEFT] = session.line.left


@events.worker_report.add_listener
def take_over(client_id: str, data: dict[str, Any]) -> None:
    current_session().notebook.write((file, line) for file, line in data.get(REPORTED, []))
    if data.get(LEFT) is not None:
        _test.left[client_id] = data[LEFT]


class ScheduleShape(LoadTestShape):
    """As many users as the scenario has senders and watchers, until nothing is left to send."""

    def reset_time(self) -> None:
        """A test begins, perhaps after another one: its page asks this shape before `test_start`
        is heard, and would be told that the schedule is over."""
        super().reset_time()
        current_session().line.begin((), 0.0)

    def tick(self) -> tuple[int, float] | None:
        session = current_session()
        line = session.line
        if line.has_ended and (not line.began_at or self._left(line) == 0):
            return None
        if line.began_at:
            over_s = time.time() - line.began_at - session.load.shape.duration_s
            if over_s > LATE_S or (over_s > 0 and self._left(line) == 0):
                return None
        count = sum(_senders(session).values()) + session.load.watchers
        return count, float(count)

    def _left(self, line: Line) -> int | None:
        """Uploads that are not answered yet, anywhere; None as long as that is not known."""
        if isinstance(self.runner, MasterRunner):
            left = _test.left
            known = [left[client] for client in self.runner.clients if client in left]
            return sum(known) if known and len(known) == len(self.runner.clients) else None
        return line.left if isinstance(self.runner, LocalRunner) else None
