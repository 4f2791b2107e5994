"""The first revision of an incident has the severity that its evidence already shows."""

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    revisions,
    tick,
)

DEFAULT = CorrelateSettings()
TICKET = drift("pii_detected", tier="ticket", drift_id="ticket", now=0.05)
PAGE = drift("pii_detected", after_s=7, drift_id="page", now=0.05)
FIRED_AT, WAIT = TICKET.detected_at, round(DEFAULT.announce_after_s * SECOND)


def test_an_incident_is_first_published_with_the_severity_of_the_evidence_of_the_next_seconds():
    [first] = revisions(TICKET, tick(FIRED_AT + SECOND), PAGE, settings=DEFAULT)
    assert (first.revision, first.severity, first.change) == (1, "P1", "opened")
    assert [entry.event for entry in first.log] == ["opened", "signal", "severity"]


@pytest.mark.parametrize("severe", [PAGE, drift("refused", now=0.6), drift("refused", now=0.1)])
def test_a_higher_severity_does_not_wait(severe):
    [first] = revisions(severe, settings=DEFAULT)
    assert first.severity < "P4"


def test_a_p4_is_published_when_it_has_waited():
    before = [TICKET, tick(FIRED_AT + SECOND), deployment(), tick(FIRED_AT + WAIT - 1)]
    assert revisions(*before, settings=DEFAULT) == []
    [first] = revisions(*before, tick(FIRED_AT + WAIT), tick(FIRED_AT + 2 * WAIT), settings=DEFAULT)
    assert (first.revision, first.severity, first.status) == (1, "P4", "open")
    assert (first.detected_at, len(first.suspects)) == (FIRED_AT, 1)


def test_a_p4_waits_by_the_wall_clock_if_its_records_are_old():
    now = START + 60 * MINUTE
    held = [tick(START, wall=now), TICKET, tick(FIRED_AT + 2 * WAIT, wall=now + WAIT - 1)]
    assert revisions(*held, settings=DEFAULT) == []
    [first] = revisions(*held, tick(FIRED_AT, wall=now + WAIT), settings=DEFAULT)
    assert first.severity == "P4"


def test_a_p4_that_recovers_while_it_waits_is_published_as_mitigated():
    [first] = revisions(TICKET, later(TICKET, 20), settings=DEFAULT)
    assert (first.severity, first.status) == ("P4", "mitigated")


def test_a_restart_does_not_end_the_wait_or_lose_the_incident():
    messages = kafka([TICKET, tick(FIRED_AT + WAIT - 1), tick(FIRED_AT + WAIT)])
    first = CorrelateStep(DEFAULT)
    assert first.step(messages[:2]) == []
    restored = CorrelateStep(DEFAULT)
    assert list(restored.restore(part for part in first.changed() if part[1] is not None)) == []
    outputs = restored.step(messages[2:])
    assert outputs == CorrelateStep(DEFAULT).step(messages)
    assert [incident.severity for incident in incidents(outputs)] == ["P4"]


def test_a_published_incident_whose_revision_is_missing_from_the_checkpoint_is_discarded():
    step = CorrelateStep(DEFAULT)
    step.step(kafka([PAGE]))
    parts = [(key, value) for key, value in step.changed() if value is not None and not key.startswith(b"published")]
    [warning] = CorrelateStep(DEFAULT).restore(parts)
    assert "last published" in warning
