"""The failures suite: planted failures are found, and nothing else."""

import pytest

from load.score.simulation.baseline_source import BaselineSource
from load.score.simulation.stream import generate_stream
from load.score.suites.failures import run_failure
from load.score.suites.playing import play_stream
from tests.load.score.scenarios import SEED, SETTINGS, find_scenario, shorten


@pytest.mark.slow
def test_a_planted_failure_is_found_in_its_tier_near_its_floor_and_start() -> None:
    run = run_failure(shorten("outputs_empty"), SEED, SETTINGS)
    assert (run.found, run.tier, run.false_pages, run.false_tickets) == (True, "page", 0, 0)
    assert run.delay_records is not None
    assert run.floor_records is not None
    assert 0.9 * run.floor_records < run.delay_records < 1.6 * run.floor_records
    assert run.start_error_records is not None
    assert run.start_error_records < 20


def test_a_failure_that_is_not_planted_is_not_found() -> None:
    run = run_failure(shorten("outputs_empty", touch=()), SEED, SETTINGS)
    assert (run.found, run.tier, run.delay_records) == (False, None, None)


@pytest.mark.slow
def test_a_failure_of_an_unexpected_signal_is_not_found() -> None:
    scenario = shorten("outputs_empty", signals=("refused",), also=(), touch=find_scenario("latency_x3").touch)
    run = run_failure(scenario, SEED, SETTINGS)
    assert not run.found
    assert run.false_pages == 0, "a touched signal is no false alarm"
    empty = shorten("outputs_empty", signals=("refused",), also=(), touch=find_scenario("outputs_empty").touch[:1])
    assert empty.affected_signals == {"refused", "empty"}
    assert not run_failure(empty, SEED, SETTINGS).found


@pytest.mark.slow
def test_a_page_where_a_ticket_is_expected_is_the_wrong_tier() -> None:
    run = run_failure(shorten("outputs_empty", tier="ticket", clear=False), SEED, SETTINGS)
    assert not run.found or run.ticket_first


def test_a_clear_step_of_labels_has_a_floor() -> None:
    run = run_failure(shorten("outputs_identical"), SEED, SETTINGS)
    assert run.found
    assert run.floor_records is not None


def test_messages_are_built_until_a_minute_after_the_expected_drift_and_columns_to_the_end() -> None:
    scenario = shorten("outputs_empty", after_s=400.0)
    parts = list(generate_stream(scenario, SEED))
    baseline = BaselineSource(SEED).learn(SETTINGS)
    played = play_stream(baseline, parts, SETTINGS, is_expected=lambda drift: drift.tier == "page")
    built = ["lines" in vars(part) for part in parts]
    assert built == sorted(built, reverse=True)
    assert 0 < sum(built) < len(built)
    assert len(played.columns.times_ms) == sum(len(part.columns.times_ms) for part in parts)
