"""Logs: one JSON object a line, fields of the context on it, no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from marea.telemetry.logs import configure_logging


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)
    yield stream
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_carries_event_fields_and_context(lines: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(job_id="4f2a")
    structlog.get_logger("marea.worker").info("job done", seconds=0.25)

    entry = json.loads(lines.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "event": "job done",
        "job_id": "4f2a",
        "seconds": 0.25,
        "level": "info",
        "logger": "marea.worker",
    }


def test_other_libraries_lines_have_the_same_form(lines: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(job_id="4f2a")
    logging.getLogger("celery").warning("connection to %s lost", "broker", extra={"tries": 3})

    entry = json.loads(lines.getvalue())
    assert entry["event"] == "connection to broker lost"
    assert (entry["logger"], entry["tries"], entry["job_id"]) == ("celery", 3, "4f2a")


def test_an_exception_stays_on_its_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger("marea.gateway").exception("request failed")

    (line,) = lines.getvalue().splitlines()
    assert "ValueError: two\nlines" in json.loads(line)["exception"]


@pytest.mark.parametrize(
    "fields",
    [
        {"broker": "amqp://marea:s3cr3t@host:5672/x"},
        {"secret_key": "s3cr3t"},
        {"headers": {"Authorization": "Bearer s3cr3t"}},
        {"tried": ["redis://:s3cr3t@host/0"]},
        {"setting": SecretStr("s3cr3t")},
    ],
)
def test_secrets_are_hidden(lines: io.StringIO, fields: dict[str, object]) -> None:
    structlog.get_logger("marea.gateway").warning("cannot connect", **fields)
    text = lines.getvalue()
    assert "cannot connect" in text
    assert "s3cr3t" not in text


def test_a_foreign_message_with_a_url_is_redacted_too(lines: io.StringIO) -> None:
    logging.getLogger("kombu").error("no route to amqp://marea:s3cr3t@host//")
    assert json.loads(lines.getvalue())["event"] == "no route to amqp://marea:[hidden]@host//"


def test_lines_below_the_level_are_left_out(lines: io.StringIO) -> None:
    structlog.get_logger("marea.worker").debug("detail")
    logging.getLogger("botocore").info("chatter")
    logging.getLogger("leaderelection").info("leader has successfully acquired lease")
    assert lines.getvalue() == ""


def test_console_lines_are_for_people(lines: io.StringIO) -> None:
    configure_logging("debug", "console", stream=lines)
    log = structlog.get_logger("marea.up")
    log.debug("broker runs", url="redis://:s3cr3t@host/0")
    try:
        raise ConnectionError("no route to redis://:s3cr3t@host/0")
    except ConnectionError:
        log.exception("broker lost")
    text = lines.getvalue()
    assert "broker runs" in text
    assert "no route to redis://:[hidden]@host/0" in text
    assert "s3cr3t" not in text
