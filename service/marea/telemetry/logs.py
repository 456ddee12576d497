"""Logs: one line per event to stderr, JSON for machines or coloured for people.

Both structlog's and the standard library's loggers (celery, uvicorn, botocore) come out in
the same form. `bind_contextvars(job_id=…)` of structlog puts fields on every line of a thread
or task. Stdout stays free for what a command prints.

Secrets are kept out twice: settings hold them as `SecretStr`, and `redact` hides fields with
telling names and the password in any URL, whoever logged it.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import ExcInfo, Processor

HIDDEN = "[hidden]"
SECRET_NAME = re.compile(r"secret|token|password|authorization|signature|credential", re.I)
URL_PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+(?=@)")

QUIET = {
    # Each of these tells of every request or message at INFO; our own lines say what matters.
    "botocore": logging.WARNING,
    "urllib3": logging.ERROR,  # each try of a call; whoever called tells of the last
    "httpx": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    "leaderelection": logging.WARNING,  # each renewal, every 2 s; the loop tells of changes
}


def configure_logging(
    level: str = "info",
    format: Literal["json", "console"] | str = "json",
    *,
    stream: TextIO | None = None,
) -> None:
    """Set up logging of this process; a second call replaces the first.

    `level` is debug, info, warning or error; `stream` defaults to stderr.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.ExtraAdder(),
        _without_color_message,
        structlog.processors.StackInfoRenderer(),
    ]
    if format == "json":
        rendering: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("event"),
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        rendering = [
            redact,
            structlog.dev.ConsoleRenderer(
                timestamp_key="time", exception_formatter=_redacted_traceback
            ),
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # loggers made at import must follow a later call
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide secrets in a log event, at any depth."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _without_color_message(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """uvicorn adds each line a second time, as a template for terminals."""
    event.pop("color_message", None)
    return event


def _redacted_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    out.write(_redacted("", text.getvalue()))


def _redacted(name: str, value: Any) -> Any:
    if SECRET_NAME.search(name) and value:
        return HIDDEN
    if isinstance(value, str):
        return URL_PASSWORD.sub(rf"\1:{HIDDEN}", value)
    if isinstance(value, dict):
        return {inner: _redacted(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", item) for item in value]
    return value
