import asyncio
import json
from uuid import uuid4

import pytest
from click.testing import CliRunner

from schemas.topics import ALERTS
from tests.pipeline.route.samples import incident
from topologies.commands.route import NOT_CONSIDERED, command
from topologies.errors import DriftwireError
from topologies.kafka import write_message

CONFIGURATION = """
[[route.receivers]]
name = "console"
console = true

[[route.receivers]]
name = "on-call"
webhook.url = "https://hooks.example.org/?token=secret"
severities = ["P1", "P2"]
send_resolved = false

[[route.routes]]
name = "urgent"
matchers = ['severity=~"P1|P2"', 'team="search"']
receivers = ["on-call"]
continue = true
mute_times = ["maintenance"]
group_by = ["subject", "team"]

[[route.routes.routes]]
name = "safety"
matchers = ['layer="safety"']
receivers = ["on-call"]
active_times = ["maintenance"]
group_by = ["..."]

[[route.routes]]
name = "everything"
receivers = ["console"]

[[route.labels]]
labels = { team = "search" }

[[route.inhibit]]
source = ['severity="P1"']
target = ['severity="P2"']
equal = ["provider"]

[[route.digests]]
name = "morning"
receivers = ["console"]
time = "09:00"
weekdays = ["monday:friday"]
location = "Europe/Berlin"

[route.time_intervals.maintenance]
times = [{ start_time = "02:00", end_time = "04:00" }]
weekdays = ["sunday"]
location = "Europe/Berlin"
"""
SUNDAY = "2026-11-29T03:00:00+01:00"
MONDAY = "2026-11-30T03:00:00+01:00"


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text(CONFIGURATION)

    def run(*arguments):
        return CliRunner().invoke(command, [*arguments, "--config", str(path)])

    return run


def test_show_prints_the_tree_the_receivers_and_the_times_and_no_secret(run):
    result = run("show")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "default: console",
        '  urgent: severity=~"P1|P2", team="search" -> on-call; continue; mute times maintenance; grouped by subject, team',
        '    safety: layer="safety" -> on-call; active times maintenance; each incident by itself',
        "  everything: every incident -> console",
        "receivers:",
        "  console: console, P1, P2, P3, P4",
        "  on-call: webhook, P1, P2, not notified of the end",
        "digests:",
        "  morning: every incident -> console; monday:friday at 09:00 (Europe/Berlin)",
        "time intervals:",
        "  maintenance: 02:00-04:00, sunday (Europe/Berlin)",
    ]


def test_test_explains_the_routes_and_receivers_of_labels(run):
    result = run("test", "--severity", "P2", "--subject", "support-bot", "--segment", "region=eu", "--at", SUNDAY)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        'labels: subject="support-bot", severity="P2", status="open", segment="region=eu", team="search"',
        "routes:",
        "  default: matches, and its nested routes handle the incident",
        "    urgent: handles the incident",
        '      safety: does not match layer="safety"',
        "    everything: handles the incident",
        "receivers:",
        "  on-call: not notified, route urgent: muted by the time interval maintenance",
        "  console: notified, route everything: new to the receiver: P2 open",
        'inhibited while another open incident matches severity="P1" and the same provider',
        NOT_CONSIDERED,
    ]


def test_test_with_json_is_one_object(run):
    content = json.loads(run("test", "--severity", "P1", "--layer", "safety", "--at", MONDAY, "--json").stdout)
    assert content["labels"]["layer"] == ["safety"]
    assert content["labels"]["subject"] == []
    assert [route["outcome"] for route in content["routes"]] == ["nested", "nested", "handles", "handles"]
    assert content["receivers"][0] == {
        "receiver": "on-call",
        "route": "safety",
        "notified": False,
        "reason_code": "outside_active_time",
        "reason": "outside the active times maintenance",
        "group": None,
    }
    assert content["inhibit"] == []


def test_test_reads_an_incident_from_a_file(run, tmp_path):
    path = tmp_path / "incident.json"
    path.write_bytes(incident(severity="P1", subject="search\u202e").to_json())
    result = run("test", str(path), "--at", MONDAY)
    assert 'subject="search\ufffd"' in result.stdout
    group = 'subject="search\ufffd", team="search"'
    told = f"  on-call: notified with the group {group}, route urgent: new to the receiver: P1 open"
    assert told in result.stdout.splitlines()
    path.write_text("{}")
    broken = run("test", str(path))
    assert isinstance(broken.exception, DriftwireError)
    assert "is not an incident: incident_id: Field required" in str(broken.exception)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give a FILE, an --incident, or the labels of an incident"),
        (("--incident", "inc-1", "--severity", "P1"), "give a FILE, an --incident, or the labels of an incident"),
        (("--subject", "bot"), "the severity is missing: add --severity"),
        (("--severity", "P5"), "'P5' is not one of"),
    ],
)
def test_wrong_use_is_a_usage_error(run, arguments, problem):
    result = run("test", *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr


@pytest.mark.kafka
def test_test_reads_an_incident_from_kafka(run, broker):
    incident_id = f"inc-{uuid4().hex}"
    revision = incident(incident_id=incident_id, severity="P1")
    asyncio.run(write_message(broker.cluster, ALERTS, incident_id.encode(), revision.to_json()))
    result = run("test", "--incident", incident_id[:-2], "--at", MONDAY, "--bootstrap", broker.bootstrap)
    assert result.exit_code == 0, result.output
    assert f'incident_id="{incident_id}"' in result.stdout
    assert "  on-call: notified with the group" in result.stdout
