"""One load shape of each name, and strategies that draw any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from loadtest.shapes import SHAPES, Shape

# Up to about 3,000 uploads each, so that an example takes milliseconds.
RATES = st.floats(0.0, 50.0)
LENGTHS = st.floats(0.1, 12.0)
PAUSES = st.one_of(st.just(0.0), LENGTHS)
COUNTS = st.integers(1, 4)

_BY_ENDING: tuple[tuple[str, SearchStrategy[float]], ...] = (
    ("_per_s", RATES),
    ("times", st.floats(1.0, 20.0)),
    ("before_s", PAUSES),
    ("after_s", PAUSES),
    ("idle_s", PAUSES),
    ("top_s", PAUSES),
    ("_s", LENGTHS),
)


def shapes_of(name: str) -> SearchStrategy[Shape]:
    """Any shape of this name, over all of its settings."""
    kind = SHAPES[name]
    settings = {field: _setting(field) for field in kind.model_fields}
    build: Callable[[Mapping[str, Any]], Shape] = kind.model_validate
    return st.fixed_dictionaries(settings).map(build)


any_shape = st.sampled_from(sorted(SHAPES)).flatmap(shapes_of)


def _setting(field: str) -> SearchStrategy[float]:
    if field == "per_s":
        return RATES
    found = next((drawn for ending, drawn in _BY_ENDING if field.endswith(ending)), None)
    return COUNTS if found is None else found
