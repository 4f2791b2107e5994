"""The report counts pages, false alarms and times over the newest revisions of incidents."""

import asyncio
import json
from uuid import uuid4

import pytest
from click.testing import CliRunner

from schemas.incident import LogEntry
from schemas.topics import ALERTS
from tests.pipeline.route.samples import STARTED, evidence, incident
from topologies.commands.options import now_ms
from topologies.commands.report import WEEK_MS, IncidentReport, NoisySignal, command
from topologies.kafka.client import write_message

DETECTED = STARTED + 41_000
ACKNOWLEDGED = [LogEntry(at=DETECTED + 90_000, event="acknowledge", text="acknowledged by ana")]


def report(*incidents):
    return IncidentReport.from_incidents(incidents, DETECTED - WEEK_MS, DETECTED + WEEK_MS)


def test_pages_false_alarms_and_times_are_counted():
    ticket = incident(evidence=[evidence("refused", tier="ticket")], resolved_as="false_alarm")
    found = report(
        incident(resolved_as="failure", detection_gap_s=10.0, log=ACKNOWLEDGED),
        incident(resolved_as="false_alarm", detection_gap_s=20.0),
        incident(resolved_as="expected", detection_gap_s=60.0),
        incident(resolved_as="failure", detection_gap_s=90.0),
        incident(detection_gap_s=41.0),
        ticket,
    )
    assert (found.pages, found.tickets) == (5, 1)
    assert found.resolved_as == {"failure": 2, "false_alarm": 1, "expected": 1}
    assert found.false_share == 0.25
    assert (found.time_to_detect_s, found.time_to_acknowledge_s) == (41.0, 90.0)
    assert found.noisiest == [NoisySignal("refused", incidents=6, pages=5, false_alarms=2)]


def test_merged_incidents_and_those_of_other_weeks_do_not_count():
    found = report(incident(status="merged", merged_into="inc-2"), incident(detected_at=DETECTED - 2 * WEEK_MS))
    assert (found.pages, found.tickets, found.noisiest) == (0, 0, [])
    assert (found.false_share, found.time_to_detect_s, found.time_to_acknowledge_s) == (None, None, None)


def test_the_noisiest_five_signals_come_first():
    names = ["refused", "error", "empty", "latency_ms", "length", "truncated"]
    incidents = [incident(evidence=[evidence(one) for one in names[: count + 1]]) for count in range(len(names))]
    assert [one.signal for one in report(*incidents).noisiest] == names[:5]


def test_the_words_say_what_was_not_assessed():
    assert "false pages          none was assessed: driftwire incident resolve --as" in report(incident()).lines()
    assert (
        "false pages          50.0 % of the 2 that were assessed"
        in report(incident(resolved_as="failure"), incident(resolved_as="false_alarm")).lines()
    )


@pytest.mark.kafka
def test_the_command_reads_the_newest_revisions(broker):
    name = f"inc-{uuid4().hex}"
    for revision, resolved_as in ((1, None), (2, "false_alarm")):
        one = incident(incident_id=name, revision=revision, resolved_as=resolved_as, detected_at=now_ms() - 60_000)
        asyncio.run(write_message(broker.cluster, ALERTS, name.encode(), one.to_json()))
    arguments = ["--weeks", "1", "--json", "--bootstrap", broker.cluster.bootstrap]
    content = json.loads(CliRunner().invoke(command, arguments).stdout)
    assert (content["pages"], content["resolved_as"]["false_alarm"], content["false_share"]) == (1, 1, 1.0)
