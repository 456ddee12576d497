"""The pipelines that are there without any configuration, in the form a user's file has.

To add one more, append an entry; `tests/unit/pipelines` runs every entry over real images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUILTIN_PIPELINES: tuple[Mapping[str, Any], ...] = (
    {
        "name": "grayscale",
        "steps": ["orient", "grayscale"],
        "result": "{dir}{stem}_processed{ext}",
    },
    {
        "name": "thumbnail",
        "steps": ["orient", {"resize": {"width": 256, "height": 256, "mode": "fit"}}],
    },
    {
        "name": "square",
        "steps": ["orient", {"resize": {"width": 512, "height": 512, "mode": "fill"}}],
    },
    {
        "name": "web",
        "steps": ["orient", "blurhash", {"sizes": [320, 640, 1280]}, {"convert": "webp"}],
    },
    {
        "name": "avif",
        "steps": ["orient", {"resize": {"width": 1920, "height": 1920}}, {"convert": "avif"}],
    },
    {
        "name": "watermark",
        "steps": [
            "orient",
            {"resize": {"width": 1600, "height": 1600}},
            {"watermark": {"text": "Marea"}},
        ],
    },
    {
        "name": "summary",
        "kind": "tables",
        "steps": ["summary"],
        "result": "{dir}{stem}_summary.json",
    },
    {"name": "copy", "kind": "none"},
)
