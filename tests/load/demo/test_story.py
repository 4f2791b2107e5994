"""The story of the demo, played through the pure steps: planted failures are found, and nothing else."""

from collections.abc import Iterable

import pytest

from load.demo.story import RECORDS_PER_SECOND, START_MS, Story, build_story
from load.demo.verdict import compare
from load.world.healthy import healthy_baseline
from load.world.json_writer import json_lines
from load.world.world import World
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage, RawMessage
from schemas.incident import Incident
from schemas.topics import ALERTS, BASELINES, DEPLOYMENTS, DRIFTS, RECORDS
from topologies.configuration.configuration import Configuration

pytestmark = pytest.mark.slow

SEED = 1


def messages(topic: str, values: Iterable[bytes | None], first: int = 0) -> list[RawMessage]:
    return [RawMessage(topic, 0, first + number, START_MS, None, value) for number, value in enumerate(values)]


def play(story: Story) -> list[Incident]:
    """The incidents at the end, newest revisions."""
    configuration = Configuration()
    detect = DetectStep(0, configuration.detect, replay=True)
    correlate = CorrelateStep(configuration.correlate, replay=True)
    baseline = healthy_baseline(SEED, START_MS, RECORDS_PER_SECOND, configuration.detect)
    detect.control(messages(BASELINES, [baseline.to_json()])[0])
    alerts: list[OutputMessage] = correlate.step(
        messages(DEPLOYMENTS, [deployment.to_json() for deployment in story.deployments])
    )
    records = drifts = 0
    world = World(SEED, START_MS, RECORDS_PER_SECOND, story.failures, story.deployments)
    for columns in world.generate(until_ms=story.end_ms):
        lines = json_lines(columns, seed=SEED)
        outputs = detect.step(messages(RECORDS, lines, records))
        published = [output.value for output in outputs if output.topic == DRIFTS]
        assert len(published) == len(outputs)
        alerts += correlate.step(messages(DRIFTS, published, drifts))
        records, drifts = records + len(lines), drifts + len(published)
    newest = {}
    for output in alerts:
        assert output.topic == ALERTS
        incident = Incident.from_json(output.value or b"")
        newest[incident.incident_id] = incident
    return list(newest.values())


@pytest.fixture(scope="module")
def incidents() -> list[Incident]:
    return play(build_story())


def test_planted_failures_are_found_and_nothing_else(incidents: list[Incident]) -> None:
    verdict = compare(build_story().planted, incidents)
    assert [match.wrong for match in verdict.matches] == [(), ()]
    assert verdict.unplanned == ()


def test_the_failure_that_was_rolled_back_ends_resolved_and_the_other_stays_open(incidents: list[Incident]) -> None:
    assert {incident.failure_mode: incident.status for incident in incidents} == {
        "refusal_spike": "resolved",
        "stale_index": "open",
    }


def test_a_verdict_does_not_agree_if_failures_or_incidents_are_missing(incidents: list[Incident]) -> None:
    planted = build_story().planted
    assert not compare(planted[:1], incidents).agrees
    assert not compare(planted, incidents[:1]).agrees
    assert not compare(planted, []).agrees
