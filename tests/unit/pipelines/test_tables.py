from __future__ import annotations

import gzip
import json
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source

CATALOG = load_catalog(entry_points=())

ORDERS = """order,city,amount,paid,on
1,Vigo,10.5,true,2024-03-01
2,Lugo,,false,2024-03-02
3,Vigo,4.5,true,
4,"Ourense, centro",9,,2024-02-28
"""


def summarise(text: str | bytes, name: str = "summary", catalog: Any = CATALOG) -> dict[str, Any]:
    data = text.encode() if isinstance(text, str) else text
    (artifact,) = catalog[name].run(Source(data, "t/orders.csv")).artifacts
    result: dict[str, Any] = json.loads(artifact.data)
    return result


def column(summary: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in summary["columns"] if entry["name"] == name)


def code_of(data: bytes, **keys: Any) -> str:
    catalog = CATALOG
    if keys:
        entry = {"name": "tried", "kind": "tables", "steps": ["summary"], **keys}
        catalog = load_catalog(yaml.safe_dump({"pipelines": [entry]}), entry_points=())
    with pytest.raises(PermanentError) as caught:
        catalog["tried" if keys else "summary"].run(Source(data, "t/x.csv"))
    return caught.value.code


def test_a_summary_tells_rows_types_ranges_and_frequent_values() -> None:
    produced = CATALOG["summary"].run(Source(ORDERS.encode(), "t/orders.csv"))
    (artifact,) = produced.artifacts
    assert artifact.key == "t/orders_summary.json"
    assert artifact.content_type == "application/json"
    assert produced.details == {"rows": 4, "columns": 5}
    summary = json.loads(artifact.data)
    assert summary["rows"] == 4
    assert column(summary, "order") == {
        "name": "order",
        "dtype": "int64",
        "count": 4,
        "missing": 0,
        "distinct": 4,
        "distinct_is_exact": True,
        "min": 1,
        "max": 4,
        "mean": 2.5,
        "std": pytest.approx(1.2909944),
    }
    amount = column(summary, "amount")
    assert (amount["count"], amount["missing"], amount["mean"]) == (3, 1, 8.0)
    assert column(summary, "city")["top"] == [
        {"value": "Vigo", "count": 2},
        {"value": "Lugo", "count": 1},
        {"value": "Ourense, centro", "count": 1},
    ]
    assert column(summary, "paid")["top"][0] == {"value": "True", "count": 2}
    assert (column(summary, "on")["min"], column(summary, "on")["max"]) == (
        "2024-02-28",
        "2024-03-02",
    )


def test_the_same_table_twice_gives_the_same_bytes() -> None:
    source = Source(ORDERS.encode(), "t/orders.csv")
    assert CATALOG["summary"].run(source).artifacts == CATALOG["summary"].run(source).artifacts


@given(st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=50))
@settings(max_examples=40, deadline=None)
def test_numbers_are_summarised_as_pandas_does(values: list[int]) -> None:
    text = "value\n" + "\n".join(map(str, values))
    entry = column(summarise(text), "value")
    series = pd.Series(values, dtype="float64")
    assert (entry["min"], entry["max"]) == (min(values), max(values))
    assert entry["mean"] == pytest.approx(series.mean())
    assert entry["std"] == pytest.approx(series.std())
    assert entry["distinct"] == len(set(values))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_changes_nothing(values: list[str], chance: Any) -> None:
    shuffled = values[:]
    chance.shuffle(shuffled)
    first, second = (summarise("x\n" + "\n".join(rows)) for rows in (values, shuffled))
    assert first == second


@pytest.mark.parametrize(("separator", "count"), [(",", 3), (";", 3), ("\t", 3), ("|", 3)])
def test_the_delimiter_is_found_in_the_first_line(separator: str, count: int) -> None:
    summary = summarise(separator.join("abc") + "\n" + separator.join("123") + "\n")
    assert summary["delimiter"] == separator
    assert summary["column_count"] == count


def test_a_comma_inside_quotes_does_not_count_as_a_delimiter() -> None:
    assert summarise('"a,b,c";d\n1;2\n')["column_count"] == 2


def test_a_set_delimiter_is_not_guessed() -> None:
    entry = {"name": "tried", "kind": "tables", "steps": ["summary"], "delimiter": "pipe"}
    catalog = load_catalog(yaml.safe_dump({"pipelines": [entry]}), entry_points=())
    assert summarise("a,b|c\n1,2|3\n", "tried", catalog)["column_count"] == 2


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "\ufeffa,b\r\n", "\n\na,b\n"])
def test_a_header_without_rows_is_an_empty_table(text: str) -> None:
    summary = summarise(text)
    assert (summary["rows"], [entry["name"] for entry in summary["columns"]]) == (0, ["a", "b"])


def test_names_are_made_unique_and_never_empty() -> None:
    names = [entry["name"] for entry in summarise("a,a,,a (2)\n1,2,3,4\n")["columns"]]
    assert names == ["a", "a (2)", "column 3", "a (2) (2)"]


def test_quoted_line_ends_stay_in_their_value() -> None:
    summary = summarise('a,b\n1,"two\nlines"\n')
    assert column(summary, "b")["top"] == [{"value": "two\nlines", "count": 1}]


def test_distinct_values_are_counted_up_to_the_bound_and_say_so() -> None:
    step = {"summary": {"max_distinct": 5, "top": 0}}
    entry = {"name": "tried", "kind": "tables", "steps": [step]}
    catalog = load_catalog(yaml.safe_dump({"pipelines": [entry]}), entry_points=())
    found = column(summarise("x\n" + "\n".join("abcdefgh"), "tried", catalog), "x")
    assert (found["distinct"], found["distinct_is_exact"]) == (5, False)
    assert "top" not in found


def test_infinities_and_lone_values_are_valid_json() -> None:
    found = column(summarise("x\ninf\n1.5\n"), "x")
    assert found["max"] is None
    assert column(summarise("x\n1\n"), "x")["std"] is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file-empty"),
        (b"\n \n", "csv-unparsable"),
        (b"a,b\n1\n", "csv-unparsable"),
        (b"a,b\n1,2,3\n", "csv-unparsable"),
        (b'a,b\n1,"open\n2,3\n', "csv-unparsable"),
        (b'a,"b\n1,2\n', "csv-unparsable"),
        (b"a,b\n1,\xe9t\xe9\n", "csv-not-utf8"),
        ("a,b\n1,2\n".encode("utf-16"), "csv-not-utf8"),
        (b"a,b\n1,\x002\n", "csv-has-nul-bytes"),
        (gzip.compress(b"a,b\n1,2\n"), "unsupported-format"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "unsupported-format"),
        (b"<!DOCTYPE html><p>404", "unsupported-format"),
        (b"PAR1\x15\x04\x00", "unsupported-format"),
        (b"x" * 200_000 + b"\n1\n", "csv-unparsable"),
    ],
)
def test_what_is_no_plain_csv_is_refused_with_its_reason(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_a_header_that_starts_like_another_format_is_still_a_table() -> None:
    for name in ("MZ", "ID3", "BM", "Rar!"):
        assert summarise(f"{name},b\n1,2\n")["columns"][0]["name"] == name


def test_the_line_of_a_wrong_byte_is_told() -> None:
    with pytest.raises(PermanentError, match="byte 0xe9 in line 3"):
        CATALOG["summary"].run(Source(b"a\n1\n\xe9\n", "t/x.csv"))


def test_limits_of_bytes_and_columns_hold() -> None:
    assert code_of(b"a,b\n1,2\n", limits={"max_bytes": 7}) == "file-too-large"
    assert code_of(b"a,b,c\n1,2,3\n", limits={"max_columns": 2}) == "too-many-columns"
    million = b",".join(b"c" for _ in range(100_000))
    assert code_of(million + b"\n") == "too-many-columns"


def test_a_user_step_takes_and_returns_the_table(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "choosing.py").write_text(
        "def choose(table, *, city):\n    return table[table['city'] == city]\n"
        "def lose(table):\n    return table['nothing']\n"
        "def count(table):\n    return len(table)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    catalog = load_catalog(
        """
pipelines:
  - {name: vigo, kind: tables, steps: [{python: "choosing:choose", city: Vigo}, summary]}
  - {name: lost, kind: tables, steps: [{python: "choosing:lose"}, summary]}
  - {name: counted, kind: tables, steps: [{python: "choosing:count"}, summary]}
""",
        entry_points=(),
    )
    assert summarise(ORDERS, "vigo", catalog)["rows"] == 2
    for name, words in (("lost", "KeyError"), ("counted", "not a DataFrame")):
        with pytest.raises(PermanentError, match=words) as caught:
            summarise(ORDERS, name, catalog)
        assert caught.value.code == "step-failed"


def test_copy_passes_any_bytes_through_and_never_as_a_page() -> None:
    for data in (b"", b"<script>", bytes(range(256))):
        (artifact,) = CATALOG["copy"].run(Source(data, "a/p.html", "text/html")).artifacts
        assert artifact.data == data
        assert artifact.key == "a/p_copy.html"
        assert artifact.content_type == "application/octet-stream"
