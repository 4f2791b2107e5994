"""The benchmark of intake measures the step and a parse of the same bytes."""

import pytest

from load.bench import run_intake_benchmark, run_telemetry_benchmark


@pytest.mark.parametrize(("run", "ratio_max"), [(run_intake_benchmark, 60), (run_telemetry_benchmark, 250)])
def test_intake_costs_a_bounded_multiple_of_a_parse(run, ratio_max):
    benchmark = run(seed=1, records=2000)
    assert benchmark.parse_us > 0
    assert 1 < benchmark.ratio < ratio_max
    assert benchmark.to_json()["ratio"] == benchmark.ratio
