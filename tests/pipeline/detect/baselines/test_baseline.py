import numpy as np
import pytest

from pipeline.detect.baselines.baseline import LearnedColumn, LearnedData, baseline_version, build_baseline
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline, Traffic
from tests.pipeline.detect.worlds import BY_NAME, START_MS, learned, normal_world

SETTINGS = DetectSettings(ready_records=1000, ready_records_rate=500)
SLICES, PER_SLICE = 48, 128


def column(name: str, values: np.ndarray) -> LearnedColumn:
    slices = np.arange(values.size) // PER_SLICE
    return LearnedColumn(
        signal=BY_NAME[name],
        values=values,
        slices=slices,
        bursts=np.arange(values.size) // 64,
        counts=np.bincount(slices, minlength=SLICES).astype(float),
        sums=np.bincount(slices, weights=values, minlength=SLICES),
    )


def learned_data(*columns: LearnedColumn, categories=None) -> LearnedData:
    starts = [START_MS + index * 1000 for index in range(SLICES)]
    return LearnedData(columns, categories or {}, starts, START_MS, START_MS + SLICES * 1000, SLICES * PER_SLICE)


@pytest.mark.parametrize("seed", range(4))
def test_a_tail_in_runs_has_the_autocorrelation_time_of_its_value(seed):
    values = np.repeat(np.random.default_rng(seed).lognormal(size=SLICES * PER_SLICE // 16), 16)
    channels = (
        build_baseline("s", learned_data(column("latency_ms", values)), "file", SETTINGS).signals["latency_ms"].channels
    )
    times = {name: channel.autocorrelation_time for name, channel in channels.items()}
    assert times["location"] == pytest.approx(16, rel=0.3)
    assert 10 < times["high_tail"] < 25


def test_an_independent_tail_has_a_short_time_beside_an_autocorrelated_value():
    random = np.random.default_rng(3)
    level = np.repeat(random.normal(size=SLICES * PER_SLICE // 16), 16)
    extreme = random.random(level.size) < 0.01
    values = np.exp(np.where(extreme, 9.0 + random.random(level.size), level))
    channels = (
        build_baseline("s", learned_data(column("latency_ms", values)), "file", SETTINGS).signals["latency_ms"].channels
    )
    assert channels["location"].autocorrelation_time > 8
    assert channels["high_tail"].autocorrelation_time < 2


def test_a_daily_cycle_shows_as_deviation_between_slices_and_drops_none():
    random = np.random.default_rng(2)
    hour = np.arange(SLICES * PER_SLICE) // PER_SLICE
    values = random.lognormal(size=hour.size) * (1 + 0.4 * np.sin(2 * np.pi * hour / SLICES))
    baseline = build_baseline("s", learned_data(column("latency_ms", values)), "file", SETTINGS)
    assert baseline.dropped_slices == []
    assert baseline.signals["latency_ms"].channels["location"].slice_deviation > 0.04


def test_outlying_slices_are_dropped_for_all_signals():
    random = np.random.default_rng(3)
    error = (random.random(SLICES * PER_SLICE) < 0.01).astype(float)
    error[PER_SLICE * 9 : PER_SLICE * 11] = 1.0
    latency = random.lognormal(size=error.size)
    baseline = build_baseline(
        "s", learned_data(column("error", error), column("latency_ms", latency)), "file", SETTINGS
    )
    assert baseline.dropped_slices == [START_MS + 9000, START_MS + 10_000]
    assert baseline.signals["error"].channels["rate"].mean == pytest.approx(0.01, abs=0.004)
    assert baseline.signals["latency_ms"].count == error.size - 2 * PER_SLICE


def test_a_constant_signal_has_a_baseline():
    baseline = build_baseline(
        "s", learned_data(column("null_fraction", np.zeros(SLICES * PER_SLICE))), "file", SETTINGS
    )
    channels = baseline.signals["null_fraction"].channels
    assert (channels["location"].mean, channels["high_tail"].mean, channels["dispersion"].mean) == (0.5, 0.0, 0.0)
    assert all(channel.variance == 0.0 for channel in channels.values())


def test_a_signal_with_too_few_values_is_omitted():
    short = column("latency_ms", np.arange(90.0))
    settings = SETTINGS.model_copy(update={"ready_records": 50})
    assert build_baseline("s", learned_data(short), "file", settings).signals == {}


def test_a_baseline_survives_a_round_trip_through_json():
    baseline = learned(normal_world(4, 8000), DetectSettings())
    assert Baseline.from_json(baseline.to_json()) == baseline


def test_a_category_with_too_few_records_is_omitted():
    categories = {"finish_reason": {"stop": 900, "length": 100}, "schema_id": {"a": 20}}
    baseline = build_baseline("s", learned_data(categories=categories), "file", SETTINGS)
    assert baseline.signals["finish_reason"].shares == {"length": 0.1, "stop": 0.9}
    assert "schema_id" not in baseline.signals


def test_a_baseline_with_traffic_but_without_hours_keeps_its_version():
    """The version was computed before baselines had hours."""
    traffic = Traffic(requests_per_minute=[60.0] * 24, dispersion=1.5)
    baseline = Baseline(
        subject="bot",
        baseline_version="",
        source="live",
        learned_from=1_796_256_000_000,
        learned_to=1_796_342_400_000,
        records=1000,
        signals={},
        traffic=traffic,
    )
    assert baseline_version(baseline) == "3374a70ee78a81b3"
    with_hours = traffic.model_copy(update={"hours_from": 1_796_256_000_000, "hourly_requests": [3600.0] * 24})
    assert baseline_version(baseline.model_copy(update={"traffic": with_hours})) != "3374a70ee78a81b3"
