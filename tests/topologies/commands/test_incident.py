import asyncio
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from schemas.command import Command
from schemas.topics import ALERTS, COMMANDS
from tests.pipeline.route.samples import incident
from topologies.commands.incident import command
from topologies.kafka.client import BrokerUnreachable, read_all, write


@pytest.fixture
def known(broker) -> str:
    """The id of an incident of the test's own."""
    one = incident(incident_id=f"inc-{uuid4().hex}", title="it refuses")
    asyncio.run(write(broker.bootstrap, ALERTS, one.incident_id.encode(), one.to_json()))
    return one.incident_id


def run(bootstrap: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--bootstrap", bootstrap])


def said_of(bootstrap: str, incident_id: str) -> list[Command]:
    async def read() -> list[Command]:
        return [
            Command.from_json(message.value or b"")
            async for message in read_all(bootstrap, COMMANDS)
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
def test_what_a_person_says_is_written_and_printed(broker, known, arguments, action, fields):
    name, *rest = arguments
    result = run(broker.bootstrap, name, known, *rest, "--author", "ana", "--note", "because")
    assert result.exit_code == 0, result.output
    (said,) = said_of(broker.bootstrap, known)
    assert (said.action, said.incident_id, said.author, said.note) == (action, known, "ana", "because")
    assert said.model_dump(include=set(fields)) == fields
    assert result.stdout.startswith(f"{action} {known}")
    assert said.command_id in result.stdout


@pytest.mark.kafka
def test_a_note_is_text_and_can_say_who_was_told(broker, known):
    result = run(broker.bootstrap, "note", known, "support knows", "--communicated", "internal", "--author", "ana")
    assert result.exit_code == 0, result.output
    (said,) = said_of(broker.bootstrap, known)
    assert (said.action, said.note, said.communicated) == ("note", "support knows", "internal")


@pytest.mark.kafka
def test_incidents_of_one_subject_are_merged_and_what_makes_no_sense_is_refused_unwritten(broker, known):
    twin = f"inc-twin-{uuid4().hex}"
    asyncio.run(write(broker.bootstrap, ALERTS, twin.encode(), incident(incident_id=twin).to_json()))
    for arguments, why in (
        (("reopen", known), "only a mitigated or resolved incident can be reopened"),
        (("unmerge", known), "is not merged into any"),
        (("merge", known, known), "cannot be merged into itself"),
    ):
        refused = run(broker.bootstrap, *arguments, "--author", "ana")
        assert (refused.exit_code, said_of(broker.bootstrap, known)) == (2, [])
        assert why in refused.stderr
    assert run(broker.bootstrap, "merge", known, twin[:-2], "--author", "ana").exit_code == 0
    assert [(said.action, said.into) for said in said_of(broker.bootstrap, known)] == [("merge", twin)]


@pytest.mark.kafka
def test_the_author_is_the_account_unless_somebody_else_is_named(broker, known, monkeypatch):
    monkeypatch.setenv("LOGNAME", "carla")
    assert run(broker.bootstrap, "ack", known).exit_code == 0
    assert [said.author for said in said_of(broker.bootstrap, known)] == ["carla"]


@pytest.mark.kafka
def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(broker, known):
    assert run(broker.bootstrap, "ack", known[:-2], "--author", "ana").exit_code == 0
    assert len(said_of(broker.bootstrap, known)) == 1


@pytest.mark.kafka
def test_an_id_that_nobody_has_or_several_have_is_wrong_use_and_writes_nothing(broker, known):
    twin = f"{known}-twin"
    asyncio.run(write(broker.bootstrap, ALERTS, twin.encode(), incident(incident_id=twin).to_json()))
    missing = run(broker.bootstrap, "ack", "inc-nothing", "--author", "ana")
    assert (missing.exit_code, said_of(broker.bootstrap, "inc-nothing")) == (2, [])
    assert "there is no incident 'inc-nothing': list the ids with driftwire incidents --all" in missing.stderr
    doubtful = run(broker.bootstrap, "ack", known[:-1], "--author", "ana")
    assert (doubtful.exit_code, said_of(broker.bootstrap, known)) == (2, [])
    assert f"matches 2 incidents, give more of the id: {known}, {twin}" in doubtful.stderr
    assert run(broker.bootstrap, "ack", known, "--author", "ana").exit_code == 0


@pytest.mark.kafka
def test_show_prints_the_card_and_the_running_log(broker, known):
    result = run(broker.bootstrap, "show", known)
    assert result.exit_code == 0
    assert "it refuses" in result.stdout
    assert "opened: refused left its baseline" in result.stdout
    as_json = run(broker.bootstrap, "show", known, "--json")
    assert as_json.stdout.strip().encode() == incident(incident_id=known, title="it refuses").to_json()


def test_what_does_not_fit_the_contract_is_wrong_use_before_kafka_is_asked():
    result = run("127.0.0.1:1", "ack", "inc-1", "--author", "ana", "--note", "x" * 2001)
    assert result.exit_code == 2
    assert "note: String should have at most 2000 characters" in result.stderr


def test_a_broker_that_is_not_there_is_one_line():
    for arguments in (("ack", "inc-1", "--author", "ana"), ("show", "inc-1")):
        result = run("127.0.0.1:1", *arguments)
        assert isinstance(result.exception, BrokerUnreachable)
        assert result.output == ""
