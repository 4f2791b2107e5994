from pipeline.detect.findings.baseline_values import baseline_median, value_at_rank
from tests.pipeline.detect.findings.test_latch import RATE, VALUE


def test_a_value_is_found_by_its_rank_and_a_rate_has_none():
    assert [value_at_rank(VALUE, rank) for rank in (0.0, 0.5, 0.625, 1.0)] == [100.0, 400.0, 600.0, 1600.0]
    assert baseline_median(VALUE) == 400.0
    assert value_at_rank(RATE, 0.5) is None
    assert baseline_median(RATE) is None
