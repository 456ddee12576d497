"""What a table holds, column by column."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pyarrow as pa

_TEXT_LIMIT = 200
"""Characters shown of one value; gut feeling."""


def summary(table: pd.DataFrame, *, top: int, max_distinct: int) -> dict[str, Any]:
    """JSON-able. `top` most frequent values of a text column, ties by value; `distinct` is
    exact up to `max_distinct` and says so when it stopped there."""
    return {
        "rows": len(table),
        "column_count": len(table.columns),
        "columns": [
            {"name": str(name), **_column(table.iloc[:, position], top, max_distinct)}
            for position, name in enumerate(table.columns)
        ],
    }


def _column(column: pd.Series, top: int, max_distinct: int) -> dict[str, Any]:
    present = column.dropna()
    distinct = int(present.nunique())
    described: dict[str, Any] = {
        "dtype": _type_name(column),
        "count": len(present),
        "missing": len(column) - len(present),
        "distinct": min(distinct, max_distinct),
        "distinct_is_exact": distinct <= max_distinct,
    }
    if len(present) == 0:
        return described
    kind = _kind(column)
    if kind == "number":
        lowest, highest = _plain(present.min()), _plain(present.max())
        described |= {"min": lowest, "max": highest, "mean": None, "std": None}
        if lowest is not None and highest is not None:  # An infinity has no mean.
            numbers = present.astype("float64")
            described["mean"] = _plain(float(numbers.mean()))
            # Of a sample (n - 1); one value has none.
            described["std"] = _plain(float(numbers.std()))
    elif kind == "ordered":
        described |= {"min": str(present.min()), "max": str(present.max())}
    elif top:
        counts = present.astype(str).value_counts()
        ranked = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
        described["top"] = [
            {"value": str(value)[:_TEXT_LIMIT], "count": int(count)}
            for value, count in ranked[:top]
        ]
    return described


def _type_name(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.ArrowDtype):
        return str(column.dtype.pyarrow_dtype)
    return str(column.dtype)


def _kind(column: pd.Series) -> str:
    """`number`, `ordered` (dates and times) or `text` (anything else)."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return "text"
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "number"
    is_arrow = isinstance(column.dtype, pd.ArrowDtype)
    if is_arrow and pa.types.is_temporal(column.dtype.pyarrow_dtype):
        return "ordered"
    return "ordered" if pd.api.types.is_datetime64_any_dtype(column.dtype) else "text"


def _plain(value: Any) -> int | float | None:
    """A number for JSON, which has neither NaN nor infinity."""
    if isinstance(value, int) or (hasattr(value, "is_integer") and not isinstance(value, float)):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None
