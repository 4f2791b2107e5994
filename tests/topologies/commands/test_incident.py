import asyncio
import time
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from schemas.command import Command
from schemas.message import AHEAD_MAX_MS
from schemas.timestamp import format_timestamp
from schemas.topics import ALERTS, COMMANDS
from tests.pipeline.route.samples import incident
from topologies.commands.incident import command
from topologies.kafka import Cluster
from topologies.kafka.client import BrokerUnreachable, read_topic, write_message


@pytest.fixture
def incident_id(broker) -> str:
    """The id of an incident for one test."""
    published = incident(incident_id=f"inc-{uuid4().hex}", title="it refuses")
    asyncio.run(write_message(broker.cluster, ALERTS, published.incident_id.encode(), published.to_json()))
    return published.incident_id


def run(cluster: Cluster, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--bootstrap", cluster.bootstrap])


def written_commands(cluster: Cluster, incident_id: str) -> list[Command]:
    async def read() -> list[Command]:
        return [
            Command.from_json(message.value or b"")
            async for message in read_topic(cluster, COMMANDS)
            if message.key == incident_id.encode()
        ]

    return asyncio.run(read())


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("arguments", "action", "fields"),
    [
        (("ack",), "acknowledge", {}),
        (("classify", "P2"), "classify", {"severity": "P2"}),
        (("assign", "ben"), "assign", {"assignee": "ben", "role": "commander"}),
        (("assign", "ben", "--role", "technical_lead"), "assign", {"assignee": "ben", "role": "technical_lead"}),
        (("mitigate",), "mitigate", {}),
        (("resolve",), "resolve", {}),
        (("accept",), "accept", {}),
    ],
)
def test_a_command_is_written_and_printed(broker, incident_id, arguments, action, fields):
    name, *rest = arguments
    result = run(broker.cluster, name, incident_id, *rest, "--author", "ana", "--note", "because")
    assert result.exit_code == 0, result.output
    (written,) = written_commands(broker.cluster, incident_id)
    assert (written.action, written.incident_id, written.author, written.note) == (
        action,
        incident_id,
        "ana",
        "because",
    )
    assert written.model_dump(include=set(fields)) == fields
    assert result.stdout.startswith(f"{action} {incident_id}")
    assert written.command_id in result.stdout


@pytest.mark.kafka
def test_a_note_can_record_an_informed_audience(broker, incident_id):
    result = run(broker.cluster, "note", incident_id, "support knows", "--communicated", "internal", "--author", "ana")
    assert result.exit_code == 0, result.output
    (written,) = written_commands(broker.cluster, incident_id)
    assert (written.action, written.note, written.communicated) == ("note", "support knows", "internal")


@pytest.mark.kafka
def test_a_merge_is_written_and_impossible_commands_are_refused(broker, incident_id):
    twin = f"inc-twin-{uuid4().hex}"
    asyncio.run(write_message(broker.cluster, ALERTS, twin.encode(), incident(incident_id=twin).to_json()))
    for arguments, reason in (
        (("reopen", incident_id), "only a mitigated or resolved incident can be reopened"),
        (("unmerge", incident_id), "is not merged into another incident"),
        (("merge", incident_id, incident_id), "cannot be merged into itself"),
    ):
        refused = run(broker.cluster, *arguments, "--author", "ana")
        assert (refused.exit_code, written_commands(broker.cluster, incident_id)) == (2, [])
        assert reason in refused.stderr
    assert run(broker.cluster, "merge", incident_id, twin[:-2], "--author", "ana").exit_code == 0
    assert [(written.action, written.into) for written in written_commands(broker.cluster, incident_id)] == [
        ("merge", twin)
    ]


@pytest.mark.kafka
def test_the_author_is_the_account_by_default(broker, incident_id, monkeypatch):
    monkeypatch.setenv("LOGNAME", "carla")
    assert run(broker.cluster, "ack", incident_id).exit_code == 0
    assert [written.author for written in written_commands(broker.cluster, incident_id)] == ["carla"]


@pytest.mark.kafka
def test_a_unique_prefix_of_an_id_is_enough(broker, incident_id):
    assert run(broker.cluster, "ack", incident_id[:-2], "--author", "ana").exit_code == 0
    assert len(written_commands(broker.cluster, incident_id)) == 1


@pytest.mark.kafka
def test_an_unknown_or_ambiguous_id_is_a_usage_error_and_writes_nothing(broker, incident_id):
    twin = f"{incident_id}-twin"
    asyncio.run(write_message(broker.cluster, ALERTS, twin.encode(), incident(incident_id=twin).to_json()))
    missing = run(broker.cluster, "ack", "inc-nothing", "--author", "ana")
    assert (missing.exit_code, written_commands(broker.cluster, "inc-nothing")) == (2, [])
    assert "there is no incident 'inc-nothing': list the ids with driftwire incidents --all" in missing.stderr
    ambiguous = run(broker.cluster, "ack", incident_id[:-1], "--author", "ana")
    assert (ambiguous.exit_code, written_commands(broker.cluster, incident_id)) == (2, [])
    assert f"matches 2 incidents: give a longer id: {incident_id}, {twin}" in ambiguous.stderr
    assert run(broker.cluster, "ack", incident_id, "--author", "ana").exit_code == 0


@pytest.mark.kafka
def test_show_prints_the_card_and_the_running_log(broker, incident_id):
    result = run(broker.cluster, "show", incident_id)
    assert result.exit_code == 0
    assert "it refuses" in result.stdout
    assert "opened: refused left its baseline" in result.stdout
    as_json = run(broker.cluster, "show", incident_id, "--json")
    assert as_json.stdout.strip().encode() == incident(incident_id=incident_id, title="it refuses").to_json()


def test_a_contract_violation_is_a_usage_error_before_kafka_is_contacted():
    result = run(Cluster("127.0.0.1:1"), "ack", "inc-1", "--author", "ana", "--note", "x" * 2001)
    assert result.exit_code == 2
    assert "note: String should have at most 2000 characters" in result.stderr


def test_a_time_ahead_is_refused_before_kafka_is_contacted():
    ahead = format_timestamp(int(time.time() * 1000) + AHEAD_MAX_MS + 60_000)
    for arguments in (("ack", "inc-1"), ("resolve", "inc-1"), ("note", "inc-1", "text")):
        result = run(Cluster("127.0.0.1:1"), *arguments, "--author", "ana", "--at", ahead)
        assert result.exit_code == 2
        assert "is more than 5 min ahead of this computer's clock" in " ".join(result.stderr.split())
    almost = format_timestamp(int(time.time() * 1000) + AHEAD_MAX_MS - 60_000)
    accepted = run(Cluster("127.0.0.1:1"), "ack", "inc-1", "--author", "ana", "--at", almost)
    assert isinstance(accepted.exception, BrokerUnreachable)


def test_a_missing_broker_is_one_line():
    for arguments in (("ack", "inc-1", "--author", "ana"), ("show", "inc-1")):
        result = run(Cluster("127.0.0.1:1"), *arguments)
        assert isinstance(result.exception, BrokerUnreachable)
        assert result.output == ""
