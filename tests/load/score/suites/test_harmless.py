"""The harmless suite: nothing pages, simpler rules are triggered, and a failure labelled as harmless is counted."""

import pytest

from load.score.comparison.simpler_rules import find_provoked_rules
from load.score.simulation.baseline_source import BaselineSource
from load.score.suites import harmless
from load.score.suites.playing import play_scenario
from tests.load.score.scenarios import SEED, SETTINGS, find_scenario, shorten


@pytest.mark.parametrize("name", ["retry_storm", "absurd_value", "duplicates"])
def test_a_harmless_event_does_not_page(name: str) -> None:
    assert harmless.run_harmless(shorten(name), SEED, SETTINGS).pages == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rule"),
    [("absurd_value", ("three_sigma",)), ("duplicates", ("three_sigma",)), ("harmless_deploy", ()), ("clock_skew", ())],
)
def test_a_rule_is_provoked_if_it_fires_with_the_event_and_not_without_it(name: str, rule: tuple[str, ...]) -> None:
    scenario = shorten(name)
    baseline = BaselineSource.from_scenario(scenario, SEED).learn(SETTINGS)
    assert find_provoked_rules(scenario, SEED, baseline) == ("always_fire", *rule)


def test_a_failure_that_is_called_harmless_is_counted_as_pages() -> None:
    failing = shorten("absurd_value", touch=find_scenario("outputs_empty").touch)
    run = harmless.run_harmless(failing, SEED, SETTINGS)
    assert run.pages
    assert harmless.build_row(failing, [run], [])["pages"] == len(run.pages)


@pytest.mark.slow
def test_a_record_from_the_year_2200_changes_nothing() -> None:
    assert harmless.is_unchanged_by_year_2200(shorten("year_2200"), SEED, SETTINGS)


@pytest.mark.slow
def test_duplicates_are_recognised() -> None:
    played = play_scenario(shorten("duplicates"), SEED, SETTINGS)
    assert played.counts["duplicates"] > 300
    assert played.counts["dead_letters"] == 0
