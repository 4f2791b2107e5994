"""The page of limits, and the metrics of the limits: each says what the code does."""

import importlib
import random
import re
from pathlib import Path

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.route import RouteSettings, RouteStep
from tests.pipeline.correlate.builders import deployment, kafka
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, message, outcome, record
from topologies.configuration import Configuration
from topologies.http_settings import HttpSettings
from topologies.metrics.worker_metrics import WorkerMetrics

PAGE = Path(__file__).parents[1] / "docs" / "limits.md"
CONSOLE = {"receivers": [{"name": "console", "console": True}]}

NO_TABLES = {"detect.band_odds_max", "detect.band_rank_max"}
"""Keys that end like limits but are thresholds of tests."""


def tables():
    """The rows of the three tables of the page, as key or constant and number."""
    found, rows = [], []
    for line in PAGE.read_text().splitlines():
        match = re.match(r"\| `([\w.]+)` \| (\d+) \| .+ \| .+ \|$", line)
        if match:
            rows.append((match[1], int(match[2])))
        elif rows:
            found.append(dict(rows))
            rows = []
    return found


def default_limits():
    """The defaults of all keys of the configuration that are limits."""
    configuration = Configuration()
    sections = {
        "detect": configuration.detect,
        "correlate": configuration.correlate,
        "route": configuration.route,
        "http": HttpSettings(),
    }
    return {
        f"{section}.{name}": getattr(settings, name)
        for section, settings in sections.items()
        for name in type(settings).model_fields
        if name.endswith(("_max", "_window")) and f"{section}.{name}" not in NO_TABLES
    }


def measured(step, metric="driftwire_limit_used_ratio"):
    return {one.labels[0]: one.value for one in step.measure() if one.metric == metric}


def hits(step):
    return {limit: count for limit, count in measured(step, "driftwire_limit_hits_total").items() if count}


def test_the_page_has_each_limit_of_the_configuration_with_its_default():
    of_tables, of_items, _ = tables()
    assert of_tables | of_items == default_limits()


def test_the_metrics_have_each_limit_of_a_table():
    steps = {
        "detect": DetectStep(0, DetectSettings(), replay=False),
        "correlate": CorrelateStep(CorrelateSettings()),
        "route": RouteStep(RouteSettings.model_validate(CONSOLE), 0),
    }
    of_tables, _, _ = tables()
    assert {f"{name}.{limit}" for name, step in steps.items() for limit in measured(step)} == set(of_tables)
    assert all(value == 0 for step in steps.values() for value in measured(step).values())


def test_the_page_has_the_values_of_the_constants():
    _, _, constants = tables()
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        assert getattr(importlib.import_module(module), constant) == value, name


SETTINGS = DetectSettings(
    subjects_max=4,
    segment_values_max=2,
    custom_signals_max=2,
    categories_max=2,
    versions_max=2,
    ready_after_s=10,
    ready_records=100,
    ready_records_rate=100,
)


def crowded_messages(first, count, subject="bot"):
    """Messages with more values than the limits allow."""
    rng, messages = random.Random(first), []
    for number in range(first, first + count):
        time_ms = START_MS + number * 100
        fields = record(rng, number, time_ms, subject)
        fields["custom"] = {f"signal{name}": 0.5 for name in range(3)}
        fields["segment"] = {"region": f"r{number % 5}"}
        fields["versions"] = {"prompt": f"v{number % 5}"}
        fields["provider_model"] = f"m{number % 5}"
        messages.append(message(number, as_json(fields), time_ms))
    return messages


def test_detect_measures_how_full_its_tables_are_and_how_often_they_were_full():
    step = DetectStep(0, SETTINGS.model_copy(update={"segments": ("region",)}), replay=False)
    assert hits(step) == {}
    step.step(crowded_messages(0, 600))
    assert measured(step) == {
        "subjects_max": 0.25,
        "segment_values_max": 1.0,
        "custom_signals_max": 1.0,
        "categories_max": 1.0,
        "versions_max": 0.0,  # what is crowded is forgotten
    }
    counts = hits(step)
    assert set(counts) == {"segment_values_max", "custom_signals_max", "categories_max", "versions_max"}
    assert counts["custom_signals_max"] == 600
    assert hits(step) == counts
    step.step(crowded_messages(600, 10))
    assert hits(step)["custom_signals_max"] == 610
    values = [as_json(outcome(f"other{number}", number, START_MS + 61_000)) for number in range(5)]
    step.step([message(1000 + number, value, START_MS + 61_000) for number, value in enumerate(values)])
    assert measured(step)["subjects_max"] == 1.0
    assert hits(step)["subjects_max"] == 2


def test_what_a_stream_counted_before_a_restart_is_not_counted_again():
    step, checkpoint = DetectStep(0, SETTINGS, replay=False), Checkpoint()
    step.step(crowded_messages(0, 50))
    checkpoint.take(step)
    restored = DetectStep(0, SETTINGS, replay=False)
    list(restored.restore(list(checkpoint.parts.items())))
    assert hits(restored) == {}
    restored.step(crowded_messages(50, 1))
    assert hits(restored) == {}
    restored.step(crowded_messages(51, 7))
    assert hits(restored)["custom_signals_max"] == 7


def test_correlate_measures_its_limits():
    step = CorrelateStep(CorrelateSettings(deployments_max=2))
    step.step(kafka([deployment(f"d-{number}") for number in range(5)]))
    assert measured(step)["deployments_max"] == 1.0
    assert hits(step) == {"deployments_max": 3}


def test_the_use_of_several_partitions_is_the_largest_of_them():
    metrics = WorkerMetrics("detect", None)
    steps = [DetectStep(number, SETTINGS, replay=False) for number in range(2)]
    steps[1].step(crowded_messages(0, 1))
    metrics.on_read(lambda: [one for step in steps for one in step.measure()])
    text = metrics.render("")[0].decode()
    assert 'driftwire_limit_used_ratio{limit="subjects_max",step="detect"} 0.25' in text
