"""The list of metrics: the naming practice of Prometheus, and the page that documents each metric."""

import re
from pathlib import Path

import pytest

from topologies.metrics import METRICS
from topologies.metrics.metric_list import ALL_STEPS

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"

names = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def row(metric):
    """The row of a metric on the page."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    if metric.labels:
        labels += f": {metric.label_limit}"
    steps = "all" if metric.steps == ALL_STEPS else ", ".join(metric.steps)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {steps} | {metric.meaning} |"


def test_the_page_has_the_row_of_each_metric_in_order_and_no_other():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(("| `driftwire_", "| `process_"))]
    assert rows == [row(metric) for metric in METRICS]


@names
def test_a_name_follows_the_naming_practice(metric):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.unit in ("", "seconds", "bytes")
    base = metric.name.removesuffix("_total")
    assert not metric.unit or base.endswith(f"_{metric.unit}")
    assert not re.search(r"_(ms|milliseconds|minutes|kilobytes|percent)\b", metric.name)


@names
def test_each_label_has_a_limit_and_a_name_of_its_own(metric):
    assert bool(metric.labels) == bool(metric.label_limit)
    assert not {"subject", "incident_id", "step", "le"} & set(metric.labels)
    assert all(len(values) == len(metric.labels) for values in metric.initial_labels)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert re.fullmatch(r"[A-Z].*\.", metric.meaning)
