"""Is this object one that a Kubernetes API server takes? Told from vendored schemas, offline.

Strict, as `kubectl apply --validate=strict`: an unknown field, a wrong type, a missing required
field, the same entry twice in a list that is keyed by name, a Secret's data that is not base64.
Not told: what the server only finds out with other objects at hand, and CEL rules of CRDs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

SCHEMAS = Path(__file__).parent / "schemas"
SOURCES = ("kubernetes", "gateway-api", "keda", "prometheus-operator")

formats = FormatChecker(formats=())


@formats.checks("byte", raises=binascii.Error)
def is_base64(text: object) -> bool:
    return not isinstance(text, str) or bool(base64.b64decode(text, validate=True) or text == "")


def entries_are_unique(
    _validator: Any, keys: Sequence[str], entries: Any, _schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """`listMapKeys`: no two entries of the list have the same keys."""
    if not isinstance(entries, list):
        return
    seen = Counter(
        tuple(str(entry.get(key, "")) for key in keys)
        for entry in entries
        if isinstance(entry, dict)
    )
    for values, times in seen.items():
        if times > 1:
            named = ", ".join(f"{key} {value!r}" for key, value in zip(keys, values, strict=True))
            yield ValidationError(f"{times} entries with {named}")


Validator = validators.extend(Draft202012Validator, {"listMapKeys": entries_are_unique})


@cache
def known_kinds() -> dict[str, Any]:
    """`group/version/Kind` → its validator."""
    bundles = [
        json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8")) for name in SOURCES
    ]
    defs = {name: schema for bundle in bundles for name, schema in bundle["$defs"].items()}
    return {
        kind: Validator(schema | {"$defs": defs}, format_checker=formats)
        for bundle in bundles
        for kind, schema in bundle["kinds"].items()
    }


def faults(thing: Mapping[str, Any]) -> list[str]:
    """Why the API server would refuse the object, a line each; [] if it takes it."""
    kind = f"{thing.get('apiVersion')}/{thing.get('kind')}"
    validator = known_kinds().get(kind)
    if validator is None:
        return [f"{kind}: no schema; add the kind to tests/chart/make_schemas.py and run it"]
    name = (thing.get("metadata") or {}).get("name")
    return [
        f"{thing['kind']} {name}: {error.json_path.removeprefix('$.')}: {error.message[:300]}"
        for error in sorted(validator.iter_errors(thing), key=lambda error: error.json_path)
    ]
