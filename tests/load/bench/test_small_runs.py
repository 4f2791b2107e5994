"""Runs of a benchmark on a small machine: they have enough checkpoints and failures, and say how far they are."""

import pytest

from load.bench.flood import run_correlate_benchmark
from load.bench.measurement.timed_run import run_configuration
from load.bench.subjects_benchmark import fleet_of
from topologies.configuration import Configuration


@pytest.mark.parametrize(
    ("records", "subjects", "interval_s"),
    [(20_000, 1, 0.1), (20_000, 100, 0.1), (60_000, 1000, 1.0), (60_000, 5000, 2.0), (600_000, 1, 2.0)],
)
def test_the_checkpoints_of_a_short_run_fit_its_subjects(records, subjects, interval_s):
    configuration = Configuration()
    assert configuration.kafka.checkpoint_interval_s == 2.0
    run = run_configuration(configuration, "1", records=records, subjects=subjects)
    assert run.kafka.checkpoint_interval_s == pytest.approx(interval_s)


@pytest.mark.parametrize(
    ("records", "subjects", "share"), [(600_000, 5000, 0.7), (60_000, 1000, 0.5), (20_000, 1000, 0.3)]
)
def test_services_with_few_records_fail_earlier(records, subjects, share):
    assert fleet_of(1, subjects, records, 10**12).failure_shares == pytest.approx((share, share))


def test_the_benchmark_of_correlate_says_how_far_it_is():
    lines = []
    benchmark = run_correlate_benchmark(1, 100, lines.append, open_incidents=(2, 4))
    assert [cost.open_incidents for cost in benchmark.costs] == [2, 4]
    assert all(cost.restart_s > 0 and cost.correlate_us > 0 for cost in benchmark.costs)
    assert lines[0] == "opening 2 incidents"
    assert len(lines) == 2 + 3 * 2 + 2
    assert {"ratio_4_to_2", "cost_per_drift_us_4", "problems"} <= set(benchmark.to_json())
