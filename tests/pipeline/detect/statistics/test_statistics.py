import numpy as np
import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.statistics.statistics import Statistics
from tests.pipeline.detect.worlds import block, blocks, normal_world

SETTINGS = DetectSettings(categories_max=3)


def observe_columns(columns, **arguments) -> Statistics:
    statistics = Statistics(SETTINGS)
    for part in blocks(columns, **arguments):
        statistics.observe(part)
    return statistics


def test_moments_and_quantiles_are_those_of_the_values():
    world = normal_world(1, 20_000)
    world["confidence"][::3] = np.nan
    signals = observe_columns(world).snapshot()["signals"]
    for name in ("latency_ms", "length", "confidence"):
        values = world[name][~np.isnan(world[name])]
        assert signals[name]["count"] == values.size
        assert signals[name]["mean"] == pytest.approx(values.mean())
        assert signals[name]["variance"] == pytest.approx(values.var())
        for share, key in ((50, "p50"), (95, "p95"), (99, "p99")):
            assert signals[name][key] == pytest.approx(np.percentile(values, share), rel=0.02)
    assert signals["refused"] == {
        "count": 20_000,
        "rate": pytest.approx(world["refused"].mean()),
        "variance": pytest.approx(world["refused"].var()),
    }


def test_variance_survives_a_large_mean():
    values = 1e9 + np.random.default_rng(2).normal(size=50_000)
    assert observe_columns({"latency_ms": values}).snapshot()["signals"]["latency_ms"]["variance"] == pytest.approx(
        1, rel=0.02
    )


def test_a_signal_without_records_has_no_mean():
    row = observe_columns({"latency_ms": np.full(10, np.nan)}).snapshot()["signals"]["latency_ms"]
    assert row == {"count": 0, "mean": None, "variance": None, "p50": None, "p95": None, "p99": None}


def test_throughput_counts_first_records_of_the_last_minute():
    statistics = observe_columns({"output_tokens": np.full(6000, 10.0)}, per_s=50.0)
    assert statistics.snapshot()["throughput_per_s"] == pytest.approx(50, rel=0.02)
    assert statistics.snapshot()["tokens_per_s"] == pytest.approx(500, rel=0.02)
    late = block({"output_tokens": np.full(1000, np.nan)}, first_row=6000, first=np.zeros(1000, dtype=bool))
    statistics.observe(late)
    assert statistics.snapshot()["throughput_per_s"] == pytest.approx(50 * 40 / 60, rel=0.03)


def test_a_gap_does_not_count_as_throughput_from_before():
    statistics = observe_columns({"refused": np.zeros(3000)}, per_s=50.0)
    statistics.observe(block({"refused": np.zeros(50)}, first_row=50 * 3600))
    assert statistics.snapshot()["throughput_per_s"] == pytest.approx(50)


def test_repetition_is_the_share_of_the_most_common_output():
    statistics = Statistics(SETTINGS)
    assert statistics.snapshot()["repetition"] is None
    labels = ["same" if row % 4 else f"own-{row}" for row in range(256)]
    statistics.observe(block({"refused": np.zeros(256)}, categories={"fingerprint": labels}))
    assert statistics.snapshot()["repetition"] == 0.75
    statistics.observe(block({"refused": np.zeros(256)}, first_row=256, categories={"fingerprint": ["b"] * 256}))
    assert statistics.snapshot()["repetition"] == 1.0


def test_the_labels_of_a_category_are_bounded():
    statistics = Statistics(SETTINGS)
    labels = ["a", "a", "b", "c", "d", "e", None, "a"]
    statistics.observe(block({"refused": np.zeros(8)}, categories={"finish_reason": labels}))
    mix = statistics.snapshot()["categories"]["finish_reason"]
    assert mix == {"a": 3 / 7, "other": 2 / 7, "b": 1 / 7, "c": 1 / 7}


def test_columns_may_appear_later():
    world = normal_world(3, 2000)
    statistics = Statistics(SETTINGS)
    for part in blocks({"refused": world["refused"][:1000]}):
        statistics.observe(part)
    both = {"refused": world["refused"][1000:], "length": world["length"][1000:]}
    for part in blocks(both, first_row=1000):
        statistics.observe(part)
    signals = statistics.snapshot()["signals"]
    assert (signals["refused"]["count"], signals["length"]["count"]) == (2000, 1000)
    assert signals["length"]["mean"] == pytest.approx(world["length"][1000:].mean())


def test_a_restore_changes_nothing():
    world = normal_world(4, 6000)
    unbroken, first, second = Statistics(SETTINGS), Statistics(SETTINGS), Statistics(SETTINGS)
    parts = list(blocks(world))
    for part in parts:
        unbroken.observe(part)
    for part in parts[:5]:
        first.observe(part)
    second.load(first.dump())
    for part in parts[5:]:
        second.observe(part)
    assert second.snapshot() == unbroken.snapshot()
    np.testing.assert_array_equal(second.dump()["moments"], unbroken.dump()["moments"])


def test_without_records_the_snapshot_is_empty():
    snapshot = Statistics(SETTINGS).snapshot()
    assert (snapshot["records"], snapshot["signals"], snapshot["throughput_per_s"]) == (0, {}, None)
