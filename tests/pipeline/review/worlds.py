"""Histories to review: a bad prompt that was rolled back. Correlate writes the incident."""

import random

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.review.material import Material
from schemas.baseline import Baseline, Channel, SignalBaseline
from schemas.deployment import Deployment
from schemas.drift import Drift, Series
from schemas.incident import Incident
from tests.pipeline.correlate.builders import (
    MINUTE,
    START,
    command,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    tick,
)

BEFORE = 10
"""Minutes of a series before the start."""

BAD = 10
"""Minutes until the prompt is rolled back."""

MONITORED = ("refused", "latency_ms", "input_tokens", "null_fraction", "index_age_s")
"""Signals of the baseline."""


def series(seed: int = 3) -> list[Series]:
    """Refusals per minute: of all records, of the old prompt, and of the new one with a tenth of the traffic."""
    world = random.Random(seed)
    old, new = [], []
    for minute in range(BEFORE + BAD + 6):
        bad = BEFORE <= minute < BEFORE + BAD
        share = 22 if bad else 0
        old.append((200 + world.randrange(20), 0.01))
        new.append((share, 0.9 if bad else 0.0))
    both = [(a + b, (a * x + b * y) / (a + b)) for (a, x), (b, y) in zip(old, new, strict=True)]
    begins_at = START - BEFORE * MINUTE
    return [
        Series(version=name, begins_at=begins_at, records=[n for n, _ in rows], means=[mean for _, mean in rows])
        for name, rows in (("", both), ("prompt=v41", old), ("prompt=v42", new))
    ]


def latency_series() -> list[Series]:
    """Latencies of all records per minute, higher while the prompt serves."""
    count = BEFORE + BAD + 6
    values = [1120.0 if BEFORE <= minute < BEFORE + BAD else 800.0 for minute in range(count)]
    begins_at = START - BEFORE * MINUTE
    return [Series(begins_at=begins_at, records=[220] * count, means=[0.5] * count, values=values)]


def baseline(*signals: str, subject: str = "support-bot", version: str = "b-1") -> Baseline:
    """A baseline with some signals."""
    channel = Channel(mean=0.01, variance=0.01, autocorrelation_time=1, slice_deviation=0, count=5000)
    return Baseline(
        subject=subject,
        baseline_version=version,
        source="live",
        learned_from=START - 1440 * MINUTE,
        learned_to=START - 60 * MINUTE,
        records=5000,
        signals={name: SignalBaseline(kind="rate", count=5000, channels={"rate": channel}) for name in signals},
    )


DEPLOYMENTS = (
    deployment("d-40", before_s=540, kind="config", from_version=None, to_version=None),
    deployment("d-42", author="carla"),
    deployment("d-43", before_s=-BAD * 60, from_version="v42", to_version="v41", rollback_of="d-42"),
)
"""An unrelated config, the bad prompt, and its rollback."""


def drifts(*, by_minute: bool = True) -> list[Drift]:
    """Drifts of refusals and latency until their recovery, with or without series."""
    refusals = drift(environment="production", series=series() if by_minute else [])
    slow = drift("latency_ms", after_s=100, environment="production", series=latency_series() if by_minute else [])
    return [
        refusals,
        slow,
        later(refusals, 120, "evidence", now=0.1, records=420),
        later(refusals, 620, sequence=2),
        later(slow, 560, sequence=1),
    ]


def revisions(*, until: int = START + 40 * MINUTE) -> list[Incident]:
    """The revisions that correlate writes: ann acknowledges the incident and assigns it to ben."""
    step = CorrelateStep(CorrelateSettings())
    messages = drifts()
    out = step.step(kafka([*DEPLOYMENTS[:2], messages[0]]))
    incident_id = incidents(out)[0].incident_id
    after = [
        command("acknowledge", incident_id, at=START + 2 * MINUTE),
        command("assign", incident_id, at=START + 3 * MINUTE, assignee="ben"),
        DEPLOYMENTS[2],
        *messages[1:],
    ]
    before = [message for message in after if _at(message) <= until]
    return incidents([*out, *step.step(kafka([*before, tick(until)]))])


def world(**parts: object) -> Material:
    """The material of the incident, with other revisions, drifts, deployments or baselines."""
    given = {
        "revisions": revisions(),
        "drifts": drifts(),
        "deployments": DEPLOYMENTS,
        "baselines": [baseline(*MONITORED)],
    } | parts
    return Material.select(**given)


def with_changes(changes: dict[str, object], **parts: object) -> Material:
    """The same with changed fields of the newest revision."""
    *earlier, newest = revisions()
    return world(revisions=[*earlier, newest.model_copy(update=changes)], **parts)


def _at(message: object) -> int:
    if isinstance(message, Drift):
        return message.updated_at
    return message.timestamp if isinstance(message, Deployment) else message.at
