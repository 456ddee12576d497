"""Metrics: our own only, each explained, named after its process."""

from __future__ import annotations

import re

from prometheus_client import REGISTRY as PROCESS_WIDE
from prometheus_client.parser import text_string_to_metric_families

from marea.telemetry import metrics


def test_counts_appear_in_the_exposition() -> None:
    counter = metrics.RECONCILER_REPUBLISHED.labels(evidence="overtaken")
    before = metrics.REGISTRY.get_sample_value(
        "marea_reconciler_republished_total", {"evidence": "overtaken"}
    )
    counter.inc(2)

    body, content_type = metrics.exposition()

    assert content_type.startswith("text/plain")
    samples = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    name = ("marea_reconciler_republished_total", (("evidence", "overtaken"),))
    assert samples[name] == (before or 0) + 2


def test_every_metric_is_explained_and_named_after_its_process() -> None:
    families = list(metrics.REGISTRY.collect())
    assert families
    for family in families:
        assert re.fullmatch(r"marea_(gateway|reconciler)_[a-z_]+", family.name)
        assert family.documentation.endswith(".")


def test_the_process_wide_registry_is_left_alone() -> None:
    assert not [family for family in PROCESS_WIDE.collect() if family.name.startswith("marea_")]
