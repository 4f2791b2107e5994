"""The benchmark of intake measures the step and a parse of the same bytes."""

from load.bench import run_intake_benchmark


def test_intake_costs_a_bounded_multiple_of_a_parse():
    benchmark = run_intake_benchmark(seed=1, records=2000)
    assert benchmark.parse_us > 0
    assert 1 < benchmark.ratio < 60
    assert benchmark.to_json()["ratio"] == benchmark.ratio
