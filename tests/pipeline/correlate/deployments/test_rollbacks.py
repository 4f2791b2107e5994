"""Rollbacks among many deployments: the same as if each were compared with each, and fast."""

import random

import pytest

from pipeline.correlate.deployments.deployments import reverts
from pipeline.correlate.deployments.rollbacks import RollbackIndex
from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, kafka, started, tick


def some_deployments(seed):
    random_ = random.Random(seed)
    found = [
        deployment(
            f"d-{number}",
            before_s=random_.randrange(12),
            kind=random_.choice(("prompt", "index")),
            name=random_.choice((None, None, "faq")),
            subject=random_.choice(("support-bot", "support-bot", None)),
            environment="production",
            from_version=random_.choice((None, "v1", "v2", "v3")),
            to_version=random_.choice((None, "v1", "v2", "v3")),
            rollback_of=random_.choice((None, None, None, f"d-{random_.randrange(60)}")),
        )
        for number in range(random_.randrange(1, 60))
    ]
    return sorted(found, key=lambda each: (each.timestamp, each.deployment_id))


@pytest.mark.parametrize("seed", range(50))
def test_they_are_those_that_comparing_each_with_each_would_find(seed):
    deployments = some_deployments(seed)
    rollbacks = RollbackIndex(deployments)
    for one in deployments:
        expected = next((each for each in deployments if reverts(one, each)), None)
        assert rollbacks.reverted(one) == expected
        assert rollbacks.is_reverted(one) == any(reverts(each, one) for each in deployments)


def test_an_incident_into_which_people_keep_deploying_does_not_become_slow(monkeypatch):
    compared = 0

    def counting(later, earlier):
        nonlocal compared
        compared += 1
        return reverts(later, earlier)

    step = started(CorrelateSettings(), drift())
    versions = ("1", "2")
    deployed = [
        deployment(
            f"l-{number}",
            before_s=-60 * (number + 1),
            kind="dependency",
            name=f"library-{number % 31}",
            from_version=versions[number % 2],
            to_version=versions[1 - number % 2],
        )
        for number in range(1_000)
    ]
    step.step(kafka(deployed))
    monkeypatch.setattr("pipeline.correlate.deployments.rollbacks.takes_back", counting)
    [told] = step.step(kafka([tick(START + 1_001 * MINUTE)]))
    assert told.value is not None
    # Each with each would be a million.
    assert 0 < compared < 10_000
