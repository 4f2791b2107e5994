"""What must hold of every history: order of arrival, batching and restarts change nothing that matters."""

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

PARTITIONS = 3
SEEDS = range(8)


WORLDS = [*((partition_history, seed) for seed in SEEDS), *((outage_history, seed) for seed in SEEDS)]
"""Subjects that fail each on its own, and a provider that fails in all of them."""


def history(world):
    """The streams of one world: a list for each partition, and the deployments."""
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
    kept = {}
    step, outputs = CorrelateStep(CorrelateSettings()), []
    for batch in batches(random_, messages):
        outputs += step.step(batch)
        if random_.random() < 0.05:
            kept = after(kept, step)
            parts = list(kept.items())
            random_.shuffle(parts)
            step = CorrelateStep(CorrelateSettings())
            assert list(step.restore(parts)) == []
    assert outputs == expected
    assert after(kept, step) == after({}, undisturbed)


@pytest.mark.parametrize("world", WORLDS)
def test_revisions_count_up_by_one_and_each_says_something_new(world):
    streams, deployments = history(world)
    before = {}
    for incident in incidents(run(interleaved(random.Random(world[1]), *streams, deployments))):
        known = before.get(incident.incident_id)
        assert incident.revision == (1 if known is None else known.revision + 1)
        if known is not None:
            same = {"revision": known.revision, "change": known.change}
            assert incident.model_copy(update=same) != known
            # Of a parent, the first of its subjects to be detected may arrive after others.
            assert incident.children or incident.detected_at == known.detected_at
        before[incident.incident_id] = incident


@pytest.mark.parametrize("world", WORLDS)
def test_every_drift_that_may_alert_ends_in_exactly_one_incident(world):
    streams, deployments = history(world)
    final = content(run([*deployments, *(message for stream in streams for message in stream)]))
    told = [line.drift_id for incident in final.values() if not incident.children for line in incident.evidence]
    drifts = [each for stream in streams for each in stream if each.type == "drift" and each.tier != "cause"]
    assert len(told) == len(set(told))
    assert set(told) <= {each.drift_id for each in drifts}
    # A ticket can be said by a page of the same signal, all others are lines of their own.
    assert {each.drift_id for each in drifts if each.tier == "page"} <= set(told)


@pytest.mark.parametrize("world", WORLDS)
def test_what_has_recovered_is_resolved_and_what_fires_is_not(world):
    streams, _ = history(world)
    for incident in content(run([message for stream in streams for message in stream])).values():
        back = all(line.state == "recovered" for line in incident.evidence)
        assert incident.status == "merged" or (incident.status == "resolved") == back
        assert (incident.resolved_at is not None) == back


def after(kept, step):
    """A compacted topic, once a step has written what changed."""
    kept = dict(kept)
    for key, value in step.changed():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
    return kept
