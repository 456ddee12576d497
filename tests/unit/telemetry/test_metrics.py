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

    body, content_type = metrics.exposition({})

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


def test_a_pools_figure_that_is_not_known_is_absent_and_none_is_invented() -> None:
    body, _ = metrics.exposition(
        {"images": {"marea_pool_replicas": 3}, "tables": {"marea_pool_ready_jobs": 0}}
    )
    samples = [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name.startswith("marea_pool_")
    ]
    assert samples == [
        ("marea_pool_replicas", {"pool": "images"}, 3),
        ("marea_pool_ready_jobs", {"pool": "tables"}, 0),
    ]


def test_every_gauge_of_a_pool_is_explained() -> None:
    for name, meaning in metrics.POOL_GAUGES.items():
        assert re.fullmatch(r"marea_pool_[a-z_]+", name)
        assert meaning.endswith(".")


def test_the_process_wide_registry_is_left_alone() -> None:
    assert not [family for family in PROCESS_WIDE.collect() if family.name.startswith("marea_")]
