"""Small load runs by hand: what a test does not name is not known."""

from __future__ import annotations

from typing import Any

from loadtest.runs.data import Job, Run, Send


def run_of(**known: Any) -> Run:
    fields: dict[str, Any] = {
        "scenario": "tried",
        "about": "By hand.",
        "began_at": 1_780_000_000.0,
        "ended_s": 20.0,
        "load_ended_s": 10.0,
        "settled_s": None,
    }
    return Run(**{**fields, **known})


def send(number: int = 0, **known: Any) -> Send:
    due_s = known.pop("due_s", float(number))
    fields: dict[str, Any] = {
        "number": number,
        "due_s": due_s,
        "sent_s": due_s,
        "done_s": due_s + 0.01,
        "way": "s3",
        "key": f"a/{number}.jpg",
        "kind": "tiny",
        "size_bytes": 10,
        "outcome": "ok",
    }
    return Send(**{**fields, **known})


def job(number: int = 0, **known: Any) -> Job:
    fields: dict[str, Any] = {
        "job_id": f"{number:032x}",
        "key": f"a/{number}.jpg",
        "version_id": f"v{number}",
        "pipeline": "grayscale",
        "pool": "images",
        "state": "done",
        "size_bytes": 10,
        "uploaded_s": None,
        "accepted_s": None,
        "started_s": None,
        "finished_s": None,
        "recorded_s": None,
    }
    return Job(**{**fields, **known})
