"""Limits: what is dropped when a limit is hit, and what readers see."""

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.state import CHUNK_BYTES_MAX
from tests.pipeline.correlate.builders import (
    MINUTE,
    START,
    command,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    only,
    started,
    tick,
)

REFUSED = drift()
BACK = later(REFUSED, 5 * 60)
QUIET_UNTIL = REFUSED.detected_at + 10 * MINUTE


def test_beyond_the_limit_the_oldest_resolved_incident_is_dropped():
    few = CorrelateSettings(incidents_max=1)
    step = started(few, REFUSED, BACK, tick(QUIET_UNTIL))
    published = incidents(step.step(kafka([drift(subject="search", start=START + 60 * MINUTE)])))
    assert [(incident.subject, incident.status) for incident in published] == [("search", "open")]
    assert step.limits_hit["incidents_max"] == 1
    assert len([key for key, value in step.changed() if key.startswith(b"incident/") and value]) == 1


def test_if_all_are_open_the_one_unchanged_for_longest_is_closed_with_a_reason():
    few = CorrelateSettings(incidents_max=1)
    published = incidents(started(few, REFUSED).step(kafka([drift(subject="search", start=START + 60 * MINUTE)])))
    assert [(incident.subject, incident.status) for incident in published] == [
        ("search", "open"),
        ("support-bot", "resolved"),
    ]
    assert "raise correlate.incidents_max" in published[-1].change


def test_the_running_log_is_bounded_and_keeps_the_opening():
    incident_id = only(REFUSED).incident_id
    commands = [command("acknowledge", incident_id, at=START + minute * MINUTE) for minute in range(1, 30)]
    incident = only(REFUSED, *commands, settings=CorrelateSettings(log_entries_max=5))
    assert len(incident.log) == 5
    assert (incident.log[0].event, incident.log[-1].at) == ("opened", START + 29 * MINUTE)


def test_the_drifts_of_an_incident_are_bounded_and_recovered_ones_are_dropped_first():
    few = CorrelateSettings(drifts_max=2)
    first, second, third = (drift(signal, now=0.05) for signal in ("refused", "empty", "hallucinated"))
    assert {line.signal for line in only(first, second, third, settings=few).evidence} == {"refused", "empty"}
    incident = only(first, second, later(first, 10), third, settings=few)
    assert {line.signal for line in incident.evidence} == {"empty", "hallucinated"}


def test_deployments_and_shifts_beyond_their_limits_are_dropped():
    step = started(
        CorrelateSettings(deployments_max=2, workload_shifts_max=1), *(deployment(f"d-{number}") for number in range(5))
    )
    step.step(kafka([drift("input_tokens"), drift("input_length")]))
    state = {key: value is not None for key, value in step.changed()}
    assert [key for key, is_stored in state.items() if is_stored] == [
        b'deployment/["d-3","support-bot",null,null]',
        b'deployment/["d-4","support-bot",null,null]',
        b"shift/" + (drift("input_length").drift_id.encode()),
    ]
    assert step.limits_hit == {"deployments_max": 3, "workload_shifts_max": 1}


@pytest.mark.slow
def test_the_largest_incident_fits_into_its_parts_and_its_message():
    label = "\U0001f525" * 180
    step = started(CorrelateSettings(drifts_max=60))
    for number in range(60):
        opened = drift(
            "refused" if number % 2 else "empty",
            subject=label,
            environment=label,
            provider=label,
            unit=label,
            drift_id=f"{label}{number}",
            segment=f"{label}{number}",
            request_id=label,
            sentence=label * 50,
            start=START + number * 2 * MINUTE,
        )
        step.step(kafka([opened, deployment(f"{label}{number}", subject=label, before_s=-number * 120, name=label)]))
    incident_id = next(iter(step._table.incidents)).incident_id
    classified = [command("classify", incident_id, at=START + n, severity="P2", note=label * 11) for n in range(90)]
    assert max(len(output.value) for output in step.step(kafka(classified))) < CHUNK_BYTES_MAX
    sizes = [len(value) for _, value in step.changed()]
    assert 100_000 < max(sizes) < CHUNK_BYTES_MAX


def test_a_dropped_incident_removes_all_its_parts():
    first = started(CorrelateSettings(incidents_max=1), REFUSED, drift("empty", now=0.02))
    topic = dict(first.changed())
    assert len([key for key in topic if key.startswith(b"drift/")]) == 2
    step = CorrelateStep(CorrelateSettings(incidents_max=1))
    assert list(step.restore(topic.items())) == []
    step.step(kafka([drift(subject="search", start=START + 60 * MINUTE)]))
    topic |= dict(step.changed())
    left = {key for key, value in topic.items() if value is not None}
    assert len(left) == 3
    assert not any(b"support-bot" in key for key in left)
