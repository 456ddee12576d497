"""The verbs that show what was declared: settings, rules, pipelines."""

from __future__ import annotations

import json
from typing import Any

from command_line import CommandLine

RULES = """
rules:
  - name: approved
    when: {content_type: image/*, metadata: {Archive: "*"}, tags: {State: approved}}
    pipelines: [thumbnail]
    priority: high
  - name: photos
    when: {suffix: .jpg}
    pipelines: [grayscale]
"""


def routed(shell: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    (shell.folder / "rules.yaml").write_text(RULES)
    shell.set({"MAREA_RULES_FILE": "rules.yaml"})
    ended = shell.run("route", "test", "--json", *arguments)
    assert ended.status == 0
    keys: list[dict[str, Any]] = json.loads(ended.out)["keys"]
    return keys


def test_settings_show_no_secret(shell: CommandLine) -> None:
    shell.set(
        {
            "MAREA_STORE__SECRET_KEY": "s3cr3t",
            "MAREA_BROKER__URL": "amqp://marea:s3cr3t@broker/",
            "MAREA_GATEWAY__API_TOKENS": '{"ops:read": "s3cr3t"}',
            "MAREA_STORE__RESULTS_BUCKET": "made",
        }
    )
    text, document = shell.run("settings").out, shell.run("settings", "--json").out
    assert "s3cr3t" not in text + document
    assert "MAREA_STORE__RESULTS_BUCKET=made\n" in text
    assert "MAREA_STORE__SECRET_KEY=(secret)\n" in text
    assert json.loads(document)["settings"]["store"]["results_bucket"] == "made"


def test_a_setting_and_its_value_stand_on_one_line_whatever_the_width(shell: CommandLine) -> None:
    shell.set({"COLUMNS": "40"})
    assert "MAREA_GATEWAY__MAX_EVENTS_PER_BODY=10000\n" in shell.run("settings").out


def test_routes_by_what_is_said_of_the_upload(shell: CommandLine) -> None:
    given = ("--content-type", "image/png", "--metadata", "archive=1", "--tag", "State=approved")
    (found,) = routed(shell, "scan", *given)
    assert found["outcome"] == "routed"
    assert [(job["pipeline"], job["priority"]) for job in found["jobs"]] == [("thumbnail", "high")]
    assert found["jobs"][0]["results"] == ["scan_thumbnail"]


def test_metadata_is_found_in_any_case_and_tags_in_theirs_only(shell: CommandLine) -> None:
    image = ("--content-type", "image/png")
    (found,) = routed(shell, "scan", *image, "--metadata", "ARCHIVE=1", "--tag", "State=approved")
    assert found["outcome"] == "routed"
    (found,) = routed(shell, "scan", *image, "--metadata", "archive=1", "--tag", "state=approved")
    assert found["outcome"] == "unrouted"


def test_each_key_says_why(shell: CommandLine) -> None:
    photo, text, own, foreign = (
        *routed(shell, "a.jpg", "b.txt", ".marea/x"),
        *routed(shell, "a.jpg", "--bucket", "other"),
    )
    assert [each["outcome"] for each in (photo, text, own, foreign)] == [
        "routed",
        "unrouted",
        "ignored",
        "ignored",
    ]
    assert "rule 'photos'" in photo["reason"]
    assert any("content type" in line or "content_type" in line for line in photo["rules"])
    assert "Marea's own" in own["reason"]
    assert "source bucket" in foreign["reason"]


def test_a_key_is_shown_as_it_is(shell: CommandLine) -> None:
    shown = shell.run("route", "test", "we[i]rd/[bold]x[/bold].jpg").out
    assert shown.startswith("we[i]rd/[bold]x[/bold].jpg  routed")
    assert "we[i]rd/[bold]x[/bold]_processed.jpg" in shown


def test_every_pipeline_is_listed_and_can_be_shown(shell: CommandLine) -> None:
    listed = json.loads(shell.run("pipelines", "list", "--json").out)["pipelines"]
    text = shell.run("pipelines", "list").out
    names = [each["name"] for each in listed]
    assert {"grayscale", "thumbnail", "web", "summary", "copy"} <= set(names)
    for name in names:
        assert f"\n{name} " in text
        described = json.loads(shell.run("pipelines", "show", name, "--json").out)
        assert described["name"] == name
        assert f"name: {name}\n" in shell.run("pipelines", "show", name).out
