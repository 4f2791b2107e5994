"""An accepted incident asks detect to take what moved as normal: once, and as it was published."""

from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.correlate.builders import MINUTE, START, command, drift, kafka, later, only, started

OPENED = drift(partition=3)
ID = only(OPENED).incident_id


def requests(*contracts):
    outputs = started().step(kafka(contracts))
    return [(output.key, Relearn.from_json(output.value or b"")) for output in outputs if output.topic == BASELINES]


def test_an_accepted_incident_requests_its_levels():
    [(key, request)] = requests(OPENED, command("accept", ID, note="known"))
    assert key == f"support-bot/{request.relearn_id}".encode()
    assert (request.subject, request.at, request.signals) == ("support-bot", START + MINUTE, ["refused"])
    assert (request.reason, request.requested_by) == ("accepted", "ann")
    [level] = request.accepted
    assert (level.signal, level.segment, level.channel, level.side) == ("refused", "", "rate", "up")
    assert (level.normal, level.now, level.records, level.started_at) == (0.01, 0.091, 234, START)


def test_a_segment_is_accepted_as_a_segment():
    [(_, request)] = requests(OPENED, drift(after_s=7, segment="tenant=acme", drift_id="acme"), command("accept", ID))
    assert [level.segment for level in request.accepted] == ["", "tenant=acme"]


def test_a_signal_that_has_recovered_or_has_no_level_is_not_accepted():
    assert requests(OPENED, later(OPENED, 30), command("accept", ID)) == []
    silent = drift("silence", tier="page", detector="silence", channel="silence")
    incident = only(silent)
    assert requests(silent, command("accept", incident.incident_id)) == []


def test_a_command_that_is_sent_twice_or_contradicted_requests_nothing_more():
    accepted = command("accept", ID)
    assert len(requests(OPENED, accepted, accepted)) == 1
    reopened = command("reopen", ID, at=START + 3 * MINUTE)
    resolved = command("resolve", ID, at=START + MINUTE)
    assert requests(OPENED, resolved, reopened, command("accept", ID, at=START + 2 * MINUTE)) == []


def test_an_acceptance_is_never_earlier_than_what_it_accepts():
    [(_, request)] = requests(OPENED, command("accept", ID, at=START - MINUTE))
    assert request.at == OPENED.detected_at


def test_no_other_command_requests_anything():
    assert requests(OPENED, command("resolve", ID)) == []
