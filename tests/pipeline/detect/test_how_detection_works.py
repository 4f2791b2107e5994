"""docs/how-detection-works.md: its numbers and formulas match the code."""

import re
from math import e, log

import numpy as np
import pytest

from tests.pipeline.detect.worked_example import (
    BLOCK_ROWS,
    FAILING,
    PAGE,
    PER_S,
    PICTURE,
    SETTINGS,
    band,
    baseline,
    bets,
    budgets,
    finding_in_state,
    observed,
    one_sided_tests,
    page_tables,
    picture,
    run,
    seconds,
    tables,
)

TIERS = ("page", "ticket")
PANE_SHARE = 0.33
SAMPLE_ROWS = 8


def logit(mean):
    return np.log(mean / (1 - mean))


def log_bets(refused, null, stakes):
    """The evidence of each record by bet, shape (R, 8)."""
    return np.log1p(stakes * (refused[:, None] - null))


def statistics(evidence, threshold):
    """The page CUSUM over full panes of ten records, by bet: the capped statistics after each sample, shape (T, 8)."""
    counted, statistic = [], np.zeros(evidence.shape[1])
    for pane in range(0, len(evidence), PER_S):
        limit = statistic + PANE_SHARE * threshold
        for sample in range(pane, pane + PER_S, SAMPLE_ROWS):
            rows = evidence[sample : min(sample + SAMPLE_ROWS, pane + PER_S)]
            statistic = np.maximum(0, statistic + rows.sum(axis=0))
            counted.append(np.minimum(statistic, limit))
        statistic = counted[-1]
    return np.array(counted)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Baseline", "Null boundary", "Threshold", "Bet", "Run", "Seeds"])
def test_the_tables_of_the_example_are_what_the_code_computes(name):
    assert page_tables()[name] == tables()[name]


def test_the_settings_on_the_page_have_their_defaults():
    rows = page_tables()["Setting (`detect.`)"]
    assert len(rows) > 10
    for name, value, _ in rows:
        assert getattr(SETTINGS, name.strip("`")) == float(value), name


def test_the_null_boundary_is_the_largest_candidate():
    for tier in TIERS:
        assert one_sided_tests()[tier].null_boundary == pytest.approx(max(band()[tier]), rel=1e-12)


def test_the_threshold_is_the_budget_rounded_up_to_a_half():
    for tier in TIERS:
        updates, alarms = budgets()[tier]
        assert one_sided_tests()[tier].threshold == np.ceil(2 * log(max(e, 8 * updates / alarms))) / 2


def test_the_bets_are_spaced_as_on_the_page_and_are_likelihood_ratios():
    test = one_sided_tests()["page"]
    guesses, stakes, refused, not_refused = bets()
    null = test.null_boundary
    assert logit(guesses) == pytest.approx(logit(null) + np.geomspace(0.45, max(0.9, 2 - logit(null)), 8))
    assert stakes.max() < 0.95 / null
    assert refused == pytest.approx(np.log(guesses / null))
    assert not_refused == pytest.approx(np.log((1 - guesses) / (1 - null)))


def test_the_page_names_the_bet_that_grows_fastest_in_the_failure():
    _, _, refused, not_refused = bets()
    fastest = 1 + int(np.argmax(FAILING * refused + (1 - FAILING) * not_refused))
    assert f"Bet {fastest} grows fastest" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("tier", TIERS)
def test_the_recursion_of_the_page_gives_the_statistics_of_the_code(tier):
    test = one_sided_tests()[tier]
    fired = finding_in_state(tier, "firing")
    path = statistics(log_bets(run().refused, test.null_boundary, test.stakes), test.threshold).max(axis=1)
    first = int(np.argmax(path >= test.threshold))
    assert fired.evidence == pytest.approx(path[first], rel=1e-5)
    pane, sample = divmod(first, 2)
    row = pane * PER_S + (PER_S - 1 if sample else SAMPLE_ROWS - 1)
    assert fired.request_id == f"r-{baseline().records + row}"
    per_batch = BLOCK_ROWS // PER_S * 2
    before = first // per_batch
    looks = [statistic for _, statistic in run().looks[tier][:before]]
    assert looks == pytest.approx(path[per_batch - 1 : before * per_batch : per_batch])


def test_firing_takes_four_panes_however_clear_the_failure_is():
    all_refused = observed(np.ones(20 * PER_S))
    test = one_sided_tests()["page"]
    path = statistics(log_bets(all_refused.refused, test.null_boundary, test.stakes), test.threshold).max(axis=1)
    first = int(np.argmax(path >= test.threshold))
    fired = next(finding for finding in all_refused.findings if finding.tier == "page")
    assert first // 2 == 3
    assert int(seconds(fired.detected_at)) == 3
    assert fired.evidence == pytest.approx(path[first], rel=1e-5)


@pytest.mark.parametrize("tier", TIERS)
def test_the_recovery_is_the_statistic_of_bets_against_a_quarter_of_the_way(tier):
    test = one_sided_tests()[tier]
    fired, back = finding_in_state(tier, "firing"), finding_in_state(tier, "recovered")
    # Until the next batch a test that fired keeps its old bets.
    batch = next(index for index, (at, _) in enumerate(run().looks[tier]) if at >= seconds(fired.detected_at)) + 1
    null_logit = 0.75 * logit(test.null_boundary) + 0.25 * logit(fired.now)
    null = 1 / (1 + np.exp(-null_logit))
    guesses = 1 / (1 + np.exp(-(null_logit + (logit(test.mean) - null_logit) * np.linspace(0.3, 1.5, 8))))
    stakes = np.maximum((guesses - null) / (null * (1 - null)), -0.95 / (1 - null))
    evidence = log_bets(run().refused[batch * BLOCK_ROWS :], null, stakes)
    path = statistics(evidence, SETTINGS.recovery_evidence).max(axis=1)
    first = int(np.argmax(path >= SETTINGS.recovery_evidence))
    assert back.evidence == pytest.approx(path[first], rel=1e-4)


def test_the_picture_is_that_of_the_run():
    stored, drawn = PICTURE.read_text(encoding="utf-8"), picture()
    text = re.compile(r"<(?:text|title)[^>]*>([^<]*)<")
    assert text.findall(stored) == text.findall(drawn)
    number = re.compile(r"(?<=[ \"ML])-?\d+\.\d+")
    paths = [[float(match) for match in number.findall(svg)] for svg in (stored, drawn)]
    assert len(paths[0]) > 200
    assert paths[0] == pytest.approx(paths[1], abs=0.1)
