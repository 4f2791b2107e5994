"""The renewal suite: claims become planted changes, healthy weeks are counted, and the figures miss what they should miss."""

import math
from dataclasses import replace

import pytest

from load.score import ScorePlan
from load.score.renewal import renewal_suite
from load.score.renewal.planted_changes import Claim, PlantedChange, PlantedDay, find_claims, plant
from load.score.renewal.renewal_suite import ServiceWeeks
from load.score.renewal.services import SERVICES, count_incidents
from load.score.renewal.slow_failures import CreepResult, SlowResult
from load.score.suite import ScoreResults
from pipeline.detect.settings import DAY_S
from schemas.topics import DAY_MS, HOUR_MS
from tests.load.score.scenarios import DATA, SETTINGS
from tests.pipeline.correlate.builders import drift
from tests.pipeline.detect.worlds import learned, normal_world

START_MS = 1_795_000_000_000


def weeks(**changes: object) -> ServiceWeeks:
    planted = [
        PlantedDay(day, {"confidence": size}, (PlantedChange("confidence", -0.1, 3.0),), ())
        for day, size in ((1, 0.4), (3, 0.3), (7, 0.2), (28, 0.1))
    ]
    return replace(ServiceWeeks("x", 1, [0] * 4, [1, 0, 0, 0], [], planted), **changes)  # type: ignore[arg-type]


def report(service: ServiceWeeks, creep: CreepResult, slow: SlowResult):  # type: ignore[no-untyped-def]
    by_key = {("renewal", "service", 0): service, ("renewal", "creep", 1): creep, ("renewal", "slow", 1): [slow]}
    return renewal_suite.report(ScoreResults(ScorePlan(("renewal",), 1, DATA, SETTINGS), by_key, {}, 1.0))


CREEP = CreepResult(9.0, is_open_at_end=True)
SLOW = SlowResult("confidence", -0.1, 2.1, 2.0, 1)


def test_there_are_eight_services_and_two_slow_failures() -> None:
    tasks = list(renewal_suite.tasks(ScorePlan(("renewal",), 1, DATA, SETTINGS)))
    assert [task.key[1] for task in tasks].count("service") == len(SERVICES) == 8
    assert {task.key[1] for task in tasks} == {"service", "creep", "slow"}
    assert len({service.source(seed, 1).seed for service in SERVICES for seed in (1, 2)}) == 16


def test_drifts_within_an_hour_are_one_incident_of_their_week() -> None:
    times_h = (1, 1.5, 2.4, 4, 24 * 8, 24 * 29)
    fired = [drift("error", start=START_MS + round(hour * HOUR_MS), after_s=0) for hour in times_h]
    assert count_incidents(fired, "page", START_MS) == [2, 1, 0, 1]
    assert count_incidents(fired, "ticket", START_MS) == [0, 0, 0, 0]


def test_a_planted_change_has_the_size_of_its_claim() -> None:
    rate, value = Claim("refused", 0.02, 0.01), Claim("confidence", -0.1, 0.0)
    assert (rate.change(0.5).how, rate.change(0.5).amount) == ("probability", pytest.approx(0.02))
    assert (value.change(1.2).how, value.change(1.2).amount) == ("offset", pytest.approx(-0.12))


def test_the_claim_of_a_signal_is_the_smallest_of_its_tiers_and_directions() -> None:
    baseline = learned(normal_world(1, 8000), SETTINGS.model_copy(update={"ready_after_s": 100}))
    claims = find_claims(baseline, SETTINGS, 28 * DAY_S)
    assert claims["refused"].normal == baseline.signals["refused"].channels["rate"].mean
    assert claims["refused"].size > 0
    assert claims["latency_ms"].size > 0
    assert claims["latency_ms"].normal == 0.0


def test_figures_that_meet_their_targets_are_no_problem() -> None:
    found = report(weeks(), CREEP, SLOW)
    assert found.problems == []
    figures = found.figures
    assert (figures["page_false_incidents"], figures["tickets_per_week"]) == (0, 0.25)
    assert [figures[f"visible_change_day_{day}"] for day in (1, 3, 7, 28)] == [0.4, 0.3, 0.2, 0.1]
    assert (figures["visible_planted_found_share"], figures["creep_found_day"]) == (1.0, 9.0)
    assert [row["kind"] for row in found.rows] == ["service", "creep", "slow"]


def test_figures_that_miss_their_targets_are_named() -> None:
    lost = (PlantedChange("confidence", -0.1, None),)
    planted = [PlantedDay(day, {"confidence": math.inf}, lost, ("error rate",)) for day in (1, 7)]
    bad = weeks(pages=[1, 0, 0, 0], tickets=[9, 0, 0, 0], planted=planted)
    found = report(bad, CreepResult(None, is_open_at_end=False), SlowResult("confidence", -0.1, None, 2.0, 0))
    for text in (
        "1 false pages",
        "2.2 tickets a week",
        "only 0%",
        "2 pages after changes of half",
        "does not halve",
        "found after - days",
        "not an open alert",
        "much later",
    ):
        assert any(text in problem for problem in found.problems), text
    assert found.figures["visible_change_day_1"] is None
    assert found.rows[0]["planted"][0]["claims"] == {"confidence": None}


@pytest.mark.slow
def test_a_quiet_service_learns_live_and_finds_what_it_claims() -> None:
    source = SERVICES[-1].source(3, 1)
    planted = plant(source, SETTINGS)
    assert source.learn(SETTINGS).fired == []
    assert {change.signal for change in planted.large} >= {"confidence", "refused"}
    assert all(change.found_h is not None for change in planted.large)
    assert planted.small_pages == ()
    assert source.end_ms - source.start_ms == DAY_MS
