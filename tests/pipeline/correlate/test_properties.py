"""Properties of every history: order of arrival, batching and restarts do not change the result."""

import random

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import incidents, kafka
from tests.pipeline.correlate.worlds import (
    batches,
    content,
    deployments_of,
    interleaved,
    outage_history,
    partition_history,
    run,
)

pytestmark = pytest.mark.slow

PARTITIONS = 3
SEEDS = range(8)


WORLDS = [*((partition_history, seed) for seed in SEEDS), *((outage_history, seed) for seed in SEEDS)]
"""Subjects that fail separately, and a provider that fails in all of them."""


def history(world):
    """The streams of one world: one list per partition, and the deployments."""
    of_partition, seed = world
    random_ = random.Random(seed)
    streams = [of_partition(random_, partition) for partition in range(PARTITIONS)]
    return streams, deployments_of(random_, PARTITIONS)


@pytest.mark.parametrize("world", WORLDS)
def test_the_final_incidents_do_not_depend_on_how_topics_and_subjects_interleave(world):
    streams, deployments = history(world)
    random_ = random.Random(world[1] + 1_000)
    expected = content(run([*deployments, *(message for stream in streams for message in stream)]))
    assert expected
    assert content(run([*(message for stream in reversed(streams) for message in stream), *deployments])) == expected
    for _ in range(2):
        random_.shuffle(deployments)
        assert content(run(interleaved(random_, *streams, deployments))) == expected


@pytest.mark.parametrize("world", WORLDS)
def test_batches_and_restarts_change_no_byte(world):
    streams, deployments = history(world)
    random_ = random.Random(world[1] + 2_000)
    messages = kafka(interleaved(random_, *streams, deployments))
    undisturbed = CorrelateStep(CorrelateSettings())
    expected = [output for message in messages for output in undisturbed.step([message])]
    stored = {}
    step, outputs = CorrelateStep(CorrelateSettings()), []
    for batch in batches(random_, messages):
        outputs += step.step(batch)
        if random_.random() < 0.05:
            stored = after(stored, step)
            parts = list(stored.items())
            random_.shuffle(parts)
            step = CorrelateStep(CorrelateSettings())
            assert list(step.restore(parts)) == []
    assert outputs == expected
    assert after(stored, step) == after({}, undisturbed)


@pytest.mark.parametrize("world", WORLDS)
def test_every_revision_has_the_next_number_and_a_change(world):
    streams, deployments = history(world)
    before = {}
    for incident in incidents(run(interleaved(random.Random(world[1]), *streams, deployments))):
        previous = before.get(incident.incident_id)
        assert incident.revision == (1 if previous is None else previous.revision + 1)
        if previous is not None:
            same = {"revision": previous.revision, "change": previous.change}
            assert incident.model_copy(update=same) != previous
            # The first subject of a parent to be detected may arrive after others.
            assert incident.children or incident.detected_at == previous.detected_at
        before[incident.incident_id] = incident


@pytest.mark.parametrize("world", WORLDS)
def test_every_drift_that_may_alert_ends_in_exactly_one_incident(world):
    streams, deployments = history(world)
    final = content(run([*deployments, *(message for stream in streams for message in stream)]))
    reported = [line.drift_id for incident in final.values() if not incident.children for line in incident.evidence]
    drifts = [one for stream in streams for one in stream if one.type == "drift" and one.tier != "cause"]
    assert len(reported) == len(set(reported))
    assert set(reported) <= {one.drift_id for one in drifts}
    # A page of the same signal can cover a ticket. All others have a line of evidence.
    assert {one.drift_id for one in drifts if one.tier == "page"} <= set(reported)


@pytest.mark.parametrize("world", WORLDS)
def test_an_incident_is_resolved_if_and_only_if_all_its_signals_recovered(world):
    streams, _ = history(world)
    for incident in content(run([message for stream in streams for message in stream])).values():
        is_recovered = all(line.state == "recovered" for line in incident.evidence)
        assert incident.status == "merged" or (incident.status == "resolved") == is_recovered
        assert (incident.resolved_at is not None) == is_recovered


def after(stored, step):
    """A compacted topic, once a step has written what changed."""
    stored = dict(stored)
    for key, value in step.changed():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value
    return stored
