"""The settings table: complete, described, and silent about secrets."""

from __future__ import annotations

from marea.cli.settings_table import HIDDEN, effective_values, settings_table, to_markdown
from marea.settings import load_settings


def test_every_setting_is_described() -> None:
    rows = settings_table()
    assert len(rows) > 50
    assert [row.variable for row in rows if len(row.description) < 10] == []


def test_every_listed_variable_is_accepted_with_its_default() -> None:
    environment = {row.variable: row.default for row in settings_table()}
    assert load_settings(environment) == load_settings({})


def test_values_in_effect_show_no_secret_that_was_set() -> None:
    settings = load_settings(
        {
            "MAREA_BROKER__URL": "amqp://marea:s3cr3t@broker/",
            "MAREA_GATEWAY__API_TOKENS": '{"ops:read": "s3cr3t"}',
            "MAREA_STORE__SECRET_KEY": "s3cr3t",
            "MAREA_STORE__SOURCE_BUCKETS": '["a", "b"]',
        }
    )

    values = effective_values(settings)

    assert values["MAREA_BROKER__URL"] == HIDDEN
    assert values["MAREA_GATEWAY__API_TOKENS"] == HIDDEN
    assert values["MAREA_STORE__SECRET_KEY"] == HIDDEN
    assert values["MAREA_LEDGER__URL"] == "redis://127.0.0.1:6379/1"
    assert values["MAREA_STORE__SOURCE_BUCKETS"] == '["a", "b"]'
    assert "s3cr3t" not in str(values)


def test_each_section_is_one_table() -> None:
    page = to_markdown(settings_table())
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles[0] == "## general"
    assert len(titles) == len(set(titles))
