import numpy as np
import pytest

from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.blocks.throughput import HISTORY_MIN, ThroughputRatio, request_weights


def panes_of(per_s, seconds, *, seed=1, start=1000):
    """Return the panes of a Poisson stream with one rate, or with one rate per second."""
    counts = np.random.default_rng(seed).poisson(per_s, seconds)
    return np.repeat(np.arange(start, start + seconds), counts)


def fill(throughput, panes, is_request=None, weights=None):
    column = np.full(panes.size, np.nan)
    requests = np.ones(panes.size, dtype=bool) if is_request is None else is_request
    throughput.write_ratios(column, panes, requests if weights is None else np.where(requests, weights, 0.0))
    return column


def weights_of(*fields):
    return request_weights(RecordReader().read([{"subject": "bot", **content} for content in fields]))


def ratios_of(column):
    return column[~np.isnan(column)]


def test_steady_traffic_has_a_ratio_of_about_one_every_ten_seconds():
    ratios = ratios_of(fill(ThroughputRatio(), panes_of(20, 3600)))
    assert ratios.size == 3600 // 10 - 1 - HISTORY_MIN
    assert ratios.mean() == pytest.approx(1, abs=0.01)
    assert ratios.std() < 0.1


def test_the_ratio_is_written_to_the_first_record_after_its_ten_seconds():
    panes = panes_of(20, 600)
    rows = np.flatnonzero(~np.isnan(fill(ThroughputRatio(), panes)))
    assert (panes[rows] % 10 == 0).all()
    assert (panes[rows - 1] % 10 == 9).all()


def test_half_the_traffic_has_a_ratio_of_one_half_and_of_one_ten_minutes_later():
    panes = np.concatenate([panes_of(20, 1200), panes_of(10, 1200, start=2200)])
    ratios = ratios_of(fill(ThroughputRatio(), panes))
    assert ratios[90:95].mean() == pytest.approx(0.5, abs=0.1)
    assert ratios[-20:].mean() == pytest.approx(1, abs=0.1)


def test_a_daily_cycle_barely_moves_the_ratio():
    seconds = np.arange(86_400)
    ratios = ratios_of(fill(ThroughputRatio(), panes_of(20 * (1 + 0.6 * np.sin(seconds * 2 * np.pi / 86_400)), 86_400)))
    assert np.quantile(ratios, 0.001) > 0.6
    hourly = np.array([part.mean() for part in np.array_split(ratios, 48)])
    assert hourly.min() > 0.95


def test_a_gap_is_one_observation():
    panes = np.concatenate([panes_of(20, 1000), panes_of(20, 1000, start=2600)])
    ratios = ratios_of(fill(ThroughputRatio(), panes))
    assert np.count_nonzero(ratios < 0.6) == 1


def test_late_outcomes_do_not_count_as_requests():
    panes = panes_of(20, 1000)
    doubled, is_request = np.repeat(panes, 2), np.tile([True, False], panes.size)
    np.testing.assert_array_equal(
        ratios_of(fill(ThroughputRatio(), doubled, is_request)), ratios_of(fill(ThroughputRatio(), panes))
    )


def test_a_slow_stream_has_a_ratio_of_one():
    ratios = ratios_of(fill(ThroughputRatio(), np.arange(0, 400 * 3600, 3600)))
    assert np.allclose(ratios, 1)


def test_no_records_have_no_ratio():
    assert fill(ThroughputRatio(), np.empty(0, dtype=np.int64)).size == 0


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_batches_and_restores_change_nothing(size):
    panes = np.concatenate([panes_of(8, 700), panes_of(2, 300, start=1800)])
    at_once = ThroughputRatio()
    expected = fill(at_once, panes)
    throughput, parts = ThroughputRatio(), []
    for start in range(0, panes.size, size):
        parts.append(fill(throughput, panes[start : start + size]))
        restored = ThroughputRatio()
        restored.load(throughput.dump())
        throughput = restored
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert throughput.dump() == at_once.dump()


def test_a_record_weighs_as_many_requests_as_its_probability_says():
    tail = {"sampled": "tail"}
    assert weights_of({}, {"output": {"length": 3}}) is None
    assert weights_of({"sampled": None}) is None
    assert weights_of({"sampling_probability": 0.1}, {}, {"sampling_probability": 1e-5}).tolist() == [10.0, 1.0, 1.0]
    assert weights_of({"sampling_probability": 0.25, **tail}, {}).tolist() == [4.0, 1.0]
    np.testing.assert_array_equal(weights_of(tail, {}, {"sampling_probability": 2, **tail}), [np.nan, 1.0, np.nan])


def test_weighted_records_give_the_rate_of_the_requests():
    panes = panes_of(100, 3600)
    all_requests, kept = ThroughputRatio(), ThroughputRatio()
    fill(all_requests, panes)
    is_kept = np.random.default_rng(2).random(panes.size) < 0.1
    ratios = ratios_of(fill(kept, panes[is_kept], weights=np.full(np.count_nonzero(is_kept), 10.0)))
    assert ratios.mean() == pytest.approx(1, abs=0.01)
    rates = [np.mean(throughput.dump()["history"]) for throughput in (all_requests, kept)]
    assert rates == pytest.approx([1000, 1000], rel=0.02)


@pytest.mark.parametrize("probability", [1.0, 0.1])
def test_a_fall_of_the_requests_is_found_in_weighted_records(probability):
    panes = np.concatenate([panes_of(100, 1200), panes_of(40, 300, start=2200)])
    is_kept = np.random.default_rng(3).random(panes.size) < probability
    weights = np.full(np.count_nonzero(is_kept), 1 / probability)
    ratios = ratios_of(fill(ThroughputRatio(), panes[is_kept], weights=weights))
    assert ratios[90:95].mean() == pytest.approx(0.45, abs=0.05)


def test_another_probability_at_the_same_rate_is_no_fall():
    panes = panes_of(100, 2400)
    probabilities = np.where(panes < 2200, 1.0, 0.1)
    is_kept = np.random.default_rng(4).random(panes.size) < probabilities
    panes, weights = panes[is_kept], 1 / probabilities[is_kept]
    assert ratios_of(fill(ThroughputRatio(), panes, weights=weights))[90:120].mean() == pytest.approx(1, abs=0.05)
    assert ratios_of(fill(ThroughputRatio(), panes))[90:95].mean() < 0.2


def test_records_of_unknown_weight_have_no_ratio_for_the_length_of_the_history():
    panes = panes_of(20, 1800)
    weights = np.where((panes >= 1600) & (panes < 1700), np.nan, 1.0)
    column = fill(ThroughputRatio(), panes, weights=weights)
    unknown = (panes > 1609) & (panes < 2310)
    assert np.isnan(column[unknown]).all()
    assert ratios_of(column[panes < 1610]).size > 0
    assert ratios_of(column[panes >= 2310]).mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_and_restores_change_no_weighted_sum(size):
    panes = np.concatenate([panes_of(8, 700), panes_of(2, 300, start=1800)])
    generator = np.random.default_rng(5)
    is_request = generator.random(panes.size) < 0.9
    probabilities = generator.uniform(1e-4, 1, panes.size)
    records = RecordReader().read([{"sampling_probability": probability} for probability in probabilities.tolist()])
    weights = request_weights(records)
    at_once = ThroughputRatio()
    expected = fill(at_once, panes, is_request, weights)
    throughput, parts = ThroughputRatio(), []
    for start in range(0, panes.size, size):
        part = slice(start, start + size)
        parts.append(fill(throughput, panes[part], is_request[part], weights[part]))
        restored = ThroughputRatio()
        restored.load(throughput.dump())
        throughput = restored
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert throughput.dump() == at_once.dump()
