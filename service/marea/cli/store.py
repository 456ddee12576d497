"""The verbs about the object store itself: store prepare, check, try, policies.

For whoever installs the platform: `prepare` runs once per installation with the store's own key,
`try` with the uploader's; `check` tells as much as its key may ask.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from marea.cli.render import coloured, plain
from marea.cli.session import JsonFlag, Session, print_json, session_of
from marea.errors import ConfigError

if TYPE_CHECKING:
    from marea.storage.prepare import Step
    from marea.storage.trial import Trial

SECRET_MIN_CHARACTERS = 8
"""MinIO's limit."""

STATE_COLOURS = {"failed": "red", "missing": "yellow", "already there": "dim"}
ANSWERS = {True: ("yes", "green"), False: ("no", "yellow"), None: ("unknown", "yellow")}
EventsOption = typer.Option(
    [],
    "--events",
    help="Where uploads are told: name of a MinIO webhook, or an ARN. May be repeated; without"
    " it, rules that were made here are removed and sweeps find the uploads.",
)


def prepare(
    context: typer.Context,
    users: Path | None = typer.Option(
        None,
        exists=True,
        file_okay=False,
        help="Folder with a file for each user (gateway, worker, reconciler, uploader,"
        " loadtest) that holds its secret, as a mounted Secret does; needs MinIO's admin API.",
    ),
    user_prefix: str = typer.Option(
        "marea-", help="Access key ids are this and the process's name."
    ),
    events: list[str] = EventsOption,
    create_buckets: bool = typer.Option(
        True, "--create-buckets/--no-create-buckets", help="Make the buckets that are not there."
    ),
    versioning: bool = typer.Option(
        True, "--versioning/--no-versioning", help="Keep the versions of source buckets."
    ),
    timeout_s: float = typer.Option(
        300.0, "--timeout-s", min=0.0, help="Seconds to wait for the store to answer."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Make a store ready: buckets, versions, users, events.

    Idempotent. Runs with the store's own key (MAREA_STORE__ACCESS_KEY, MAREA_STORE__SECRET_KEY,
    each also as a file). Exit status 1 if something that was asked for could not be done; what
    a store cannot do at all is told, and is no failure where the platform works without.
    """
    from marea.clock import SystemClock
    from marea.storage.prepare import Wishes, prepare_store, wait_for_answer

    session = session_of(context)
    settings, clock = session.settings.store, SystemClock()
    wishes = Wishes(
        create_buckets=create_buckets,
        versioning=versioning,
        users=read_users(users, user_prefix) if users else None,
        events=tuple(events),
    )
    wait_for_answer(settings, clock, timeout_s, lambda text: session.stderr.print(plain(text)))
    _tell(session, prepare_store(settings, wishes, clock), as_json)


def check(context: typer.Context, as_json: bool = JsonFlag) -> None:
    """Ask the store what it can do, and what is lost without.

    Exit status 1 if something is missing that the platform does not work without.
    """
    from marea.clock import SystemClock
    from marea.storage.inspection import inspect_store

    session = session_of(context)
    settings = session.settings.store
    findings = []
    for finding in inspect_store(settings, SystemClock()):
        findings.append(finding)
        if not as_json:
            word, colour = ANSWERS[finding.is_so]
            if finding.is_so is False and finding.is_needed:
                colour = "red"
            sentence = plain(finding.sentence)
            session.console.print(f"{plain(finding.what)}: [{colour}]{word}[/], {sentence}")
    is_well = not any(finding.is_so is False and finding.is_needed for finding in findings)
    if as_json:
        print_json({"ok": is_well, "findings": [asdict(finding) for finding in findings]})
    raise typer.Exit(0 if is_well else 1)


def try_it(
    context: typer.Context,
    bucket: str | None = typer.Option(
        None, help="A source bucket; without it, the first of MAREA_STORE__SOURCE_BUCKETS."
    ),
    prefix: str = typer.Option("marea-try/", help="What the picture's key begins with."),
    timeout_s: float = typer.Option(
        120.0, "--timeout-s", min=0.0, help="Seconds to wait for the first record."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Upload a small picture and wait for what becomes of it.

    Needs the uploader's key alone: neither broker nor ledger is asked. Exit status 1 with a
    sentence of where to look if no record comes, or one says other than done.
    """
    from marea.clock import SystemClock
    from marea.storage.trial import try_upload
    from marea.wiring import build_store

    session = session_of(context)
    settings, clock = session.settings, SystemClock()
    chosen = bucket or settings.store.source_buckets[0]
    if chosen not in settings.store.source_buckets:
        known = ", ".join(settings.store.source_buckets)
        raise ConfigError([f"--bucket {chosen}: not a source bucket; one of {known}"])
    trial = try_upload(
        build_store(settings, clock),
        settings.store,
        clock,
        bucket=chosen,
        prefix=prefix,
        timeout_s=timeout_s,
        say=lambda text: session.stderr.print(plain(text)),
    )
    _show_trial(session, trial, as_json)
    raise typer.Exit(0 if trial.is_well else 1)


def policies(
    context: typer.Context,
    process: str | None = typer.Argument(
        None, help="gateway, worker, reconciler, uploader or loadtest; without it, all of them."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Print what each process may do, as AWS IAM writes it.

    For stores whose users `marea store prepare` cannot make.
    """
    from marea.storage.policies import policy_documents

    store = session_of(context).settings.store
    documents = policy_documents(store.source_buckets, store.results_bucket, store.reserved_prefix)
    if process is not None and process not in documents:
        raise ConfigError([f"{process}: no such process; one of {', '.join(documents)}"])
    chosen: Any = documents if process is None else documents[process]
    if as_json:
        print_json(chosen)
    else:
        typer.echo(json.dumps(chosen, indent=2))


def read_users(folder: Path, prefix: str) -> dict[str, tuple[str, str]]:
    """Access key id and secret of each process that `folder` has a file for, called by the
    process's name with or without `prefix`. Raises `ConfigError` with every problem."""
    from marea.storage.policies import PROCESSES

    problems: list[str] = []
    users: dict[str, tuple[str, str]] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith("."):
            continue  # Kubernetes keeps the versions of a mounted Secret there
        process = file.name.removeprefix(prefix)
        if process not in PROCESSES:
            problems.append(f"{file}: not a user of Marea's; one of {', '.join(PROCESSES)}")
            continue
        try:
            secret = file.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as exc:
            problems.append(f"{file}: cannot be read: {exc}")
            continue
        if len(secret) < SECRET_MIN_CHARACTERS:
            problems.append(f"{file}: a secret of fewer than {SECRET_MIN_CHARACTERS} characters")
        users[process] = (f"{prefix}{process}", secret)
    if not users and not problems:
        problems.append(f"{folder}: no user's file; expected {', '.join(PROCESSES)}")
    if problems:
        raise ConfigError(problems)
    return {process: users[process] for process in PROCESSES if process in users}


def _tell(session: Session, steps: Any, as_json: bool) -> None:
    """Each step as it is done; then exit with 0, or 1 if one failed."""
    told: list[Step] = []
    for step in steps:
        told.append(step)
        if not as_json:
            colour = STATE_COLOURS.get(step.state, "green")
            sentence = f": {plain(step.sentence)}" if step.sentence else ""
            session.console.print(f"{plain(step.what)}: [{colour}]{step.state}[/]{sentence}")
    is_well = all(step.state != "failed" for step in told)
    if as_json:
        print_json(
            {
                "ok": is_well,
                "steps": [
                    {"what": step.what, "state": step.state, "sentence": step.sentence}
                    for step in told
                ],
            }
        )
    raise typer.Exit(0 if is_well else 1)


def _show_trial(session: Session, trial: Trial, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": trial.is_well,
                "bucket": trial.ref.bucket,
                "key": trial.ref.key,
                "seconds": round(trial.first_s, 3),
                "records": [json.loads(record.to_json()) for record in trial.records],
            }
        )
        return
    for record in trial.records:
        why = f", {record.code}: {record.reason}" if record.code else ""
        session.console.print(f"{plain(record.pipeline)}: {coloured(record.state)}{plain(why)}")
        for output in record.outputs:
            session.console.print(f"  {plain(output.bucket)}/{plain(output.key)}")
    session.console.print(f"{trial.first_s:.1f} s from the upload to the first record")
