import asyncio
import os
import subprocess
import sys
import time
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from schemas.command import Command
from schemas.incident import LogEntry
from schemas.message import AHEAD_MAX_MS
from schemas.timestamp import format_timestamp
from schemas.topics import ALERTS, COMMANDS
from tests.pipeline.route.samples import STARTED, evidence, incident
from topologies.commands.incident import accepted_lines, acknowledgement_notice, command, ending_warning
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
        (("unack",), "unacknowledge", {}),
        (("classify", "P2"), "classify", {"severity": "P2"}),
        (("assign", "ben"), "assign", {"assignee": "ben", "role": "commander"}),
        (("assign", "ben", "--role", "technical_lead"), "assign", {"assignee": "ben", "role": "technical_lead"}),
        (("mitigate",), "mitigate", {}),
        (("resolve", "--yes"), "resolve", {}),
        (("resolve", "--yes", "--as", "false_alarm"), "resolve", {"resolved_as": "false_alarm"}),
        (("accept", "--yes"), "accept", {}),
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
def test_a_second_acknowledgement_names_the_first(broker):
    held = incident(incident_id=f"inc-{uuid4().hex}", acknowledged_by="ben", status="acknowledged")
    asyncio.run(write_message(broker.cluster, ALERTS, held.incident_id.encode(), held.to_json()))
    result = run(broker.cluster, "ack", held.incident_id, "--author", "ana")
    assert result.exit_code == 0
    assert (
        result.stderr == f"{held.incident_id} was already acknowledged by ben; this acknowledgement replaces theirs\n"
    )
    assert [written.author for written in written_commands(broker.cluster, held.incident_id)] == ["ana"]
    assert run(broker.cluster, "ack", held.incident_id, "--author", "ben").stderr == ""


@pytest.mark.kafka
def test_the_end_of_an_incident_with_abnormal_signals_needs_yes_without_a_terminal(broker, incident_id):
    resolved = run(broker.cluster, "resolve", incident_id, "--author", "ana")
    accepted = run(broker.cluster, "accept", incident_id, "--author", "ana")
    assert (resolved.exit_code, accepted.exit_code, written_commands(broker.cluster, incident_id)) == (2, 2, [])
    assert f"signals of {incident_id} are still abnormal and would no longer be followed: refused" in resolved.stderr
    assert "Without a terminal, add --yes to resolve it" in resolved.stderr
    assert "its changed signals are relearned as the new normal. Without a terminal, add --yes" in accepted.stderr
    assert "accepted as normal: refused 9.1 %, normally 1.0 %" in accepted.stderr


@pytest.mark.kafka
def test_the_end_of_an_incident_is_confirmed_on_a_terminal(broker, incident_id):
    def resolve(answer: bytes) -> tuple[int, str]:
        """Exit status and standard error of the command on a terminal, with the answer."""
        terminal, stdin = os.openpty()
        os.write(terminal, answer)
        arguments = ("incident", "resolve", incident_id, "--author", "ana", "--bootstrap", broker.bootstrap)
        done = subprocess.run(
            [sys.executable, "-m", "topologies.cli", *arguments],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(stdin)
        os.close(terminal)
        return done.returncode, done.stderr

    status, shown = resolve(b"n\n")
    assert (status, written_commands(broker.cluster, incident_id)) == (1, [])
    assert "are still abnormal and would no longer be followed: refused\nResolve it? [y/N]" in shown
    assert resolve(b"y\n")[0] == 0
    assert [written.action for written in written_commands(broker.cluster, incident_id)] == ["resolve"]


@pytest.mark.parametrize(
    ("action", "lines", "status", "warns"),
    [
        ("resolve", [evidence("refused")], "open", True),
        ("resolve", [evidence("refused", state="recovered")], "mitigated", False),
        ("resolve", [evidence("version_first_seen", detector="first_seen")], "open", False),
        ("resolve", [evidence("refused")], "resolved", False),
        ("accept", [evidence("refused", state="recovered")], "resolved", True),
        ("mitigate", [evidence("refused")], "open", False),
        ("acknowledge", [evidence("refused")], "open", False),
    ],
)
def test_only_the_end_of_what_is_still_abnormal_or_relearned_needs_confirmation(action, lines, status, warns):
    request = Command(command_id="cmd-1", at=STARTED, author="ana", action=action, incident_id="inc-1")
    assert (ending_warning(request, incident(evidence=lines, status=status)) is not None) is warns


def test_what_is_accepted_is_shown_with_its_segments_and_without_what_recovered():
    request = Command(command_id="cmd-1", at=STARTED, author="ana", action="accept", incident_id="inc-1")
    lines = [
        evidence("refused", segments=["tenant=acme"]),
        evidence("error", state="recovered"),
        evidence("version_first_seen", detector="first_seen"),
    ]
    shown = accepted_lines(request, incident(evidence=lines))
    assert shown == ["accepted as normal: refused [tenant=acme] 9.1 %, normally 1.0 %"]
    assert accepted_lines(request, incident(evidence=[])) == ["no signal is abnormal: nothing is accepted as normal"]
    assert accepted_lines(request.model_copy(update={"action": "resolve"}), incident(evidence=lines)) == []


@pytest.mark.kafka
def test_show_prints_the_card_and_the_running_log(broker, incident_id):
    result = run(broker.cluster, "show", incident_id)
    assert result.exit_code == 0
    assert "it refuses" in result.stdout
    assert "opened: refused left its baseline" in result.stdout
    as_json = run(broker.cluster, "show", incident_id, "--json")
    assert as_json.stdout.strip().encode() == incident(incident_id=incident_id, title="it refuses").to_json()


def test_an_acknowledgement_of_an_earlier_time_does_not_claim_to_replace_a_later_one():
    request = Command(command_id="cmd-1", at=STARTED, author="ana", action="acknowledge", incident_id="inc-1")
    later = LogEntry(at=STARTED + 1, event="acknowledge", text="acknowledged by ben")
    notice = acknowledgement_notice(request, incident(acknowledged_by="ben", status="acknowledged", log=[later]))
    assert notice == "inc-3f9a21c0b7 was acknowledged later by ben; this acknowledgement is only logged"


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
