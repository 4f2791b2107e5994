import pytest

from pipeline.detect.findings.effect import effect_size


def test_a_rate_has_an_odds_ratio_and_a_value_a_shift_of_rank():
    assert effect_size("rate", 0.01, 0.09, 1000, 100_000) == (pytest.approx(9.79, abs=0.01), "odds_ratio")
    assert effect_size("high_tail", 0.01, 0.01, 1000, 5000) == (pytest.approx(1.0), "odds_ratio")
    assert effect_size("location", 0.5, 0.4, 1000, 5000) == (pytest.approx(-0.1), "rank_shift")


@pytest.mark.parametrize(("usual", "mean"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("records", [1, 50])
def test_odds_stay_finite_where_an_outcome_was_never_seen(usual, mean, records):
    effect, _ = effect_size("rate", usual, mean, records, 5000)
    assert 0 < effect < 1e7
