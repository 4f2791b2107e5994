import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner, Result

from pipeline.step import RawMessage
from schemas.incident import Incident
from schemas.topics import ALERTS
from tests.pipeline.route.samples import STARTED, alert, incident
from topologies.commands.incidents import command, newest_revisions, revisions_after
from topologies.kafka.client import BrokerUnreachable, write
from topologies.kafka.incident_history import incidents_in


@pytest.fixture
def subject() -> str:
    """A subject of the test's own: other tests write alerts too."""
    return f"subject-{uuid4().hex}"


def publish(bootstrap: str, *revisions: Incident) -> None:
    async def run() -> None:
        for revision in revisions:
            await write(bootstrap, ALERTS, revision.incident_id.encode(), revision.to_json())

    asyncio.run(run())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def shown(*arguments: str) -> list[tuple[str, int]]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    return [(one["incident_id"], one["revision"]) for one in map(orjson.loads, result.stdout.splitlines())]


@pytest.mark.kafka
def test_the_newest_revision_of_every_open_incident_is_shown_the_worst_first(broker, subject):
    publish(
        broker.bootstrap,
        incident(subject=subject, incident_id=f"{subject}-young", started_at=STARTED + 1),
        incident(subject=subject, incident_id=f"{subject}-old"),
        incident(subject=subject, incident_id=f"{subject}-over"),
        incident(subject=subject, incident_id=f"{subject}-bad"),
        incident(subject=subject, incident_id=f"{subject}-bad", revision=2, severity="P1"),
        incident(subject=subject, incident_id=f"{subject}-over", revision=2, status="resolved"),
    )
    here = ("--subject", subject, "--bootstrap", broker.bootstrap)
    still_open = [(f"{subject}-bad", 2), (f"{subject}-old", 1), (f"{subject}-young", 1)]
    assert shown(*here) == still_open
    assert shown("--all", *here) == [still_open[0], still_open[1], (f"{subject}-over", 2), still_open[2]]
    assert shown("--severity", "P1", *here) == still_open[:1]
    assert shown("--severity", "P1", "--severity", "P3", *here) == still_open
    assert shown("--subject", subject, "--subject", "other", "--bootstrap", broker.bootstrap) == still_open


@pytest.mark.kafka
def test_people_get_cards(broker, subject):
    publish(broker.bootstrap, incident(subject=subject, incident_id=f"{subject}-a", title="it refuses"))
    result = run("--subject", subject, "--bootstrap", broker.bootstrap)
    assert result.exit_code == 0
    assert result.stdout.startswith(" P3 OPEN ")
    assert "it refuses" in result.stdout


@pytest.mark.kafka
def test_that_nothing_is_open_is_said_on_the_standard_error(broker, subject):
    result = run("--subject", subject, "--json", "--bootstrap", broker.bootstrap)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no open incidents\n")


@pytest.mark.kafka
async def test_a_follower_gets_each_newer_revision_once_and_none_between_is_lost(broker, subject):
    async def say(revision: int) -> None:
        one = incident(incident_id=subject, revision=revision)
        await write(broker.bootstrap, ALERTS, one.incident_id.encode(), one.to_json())

    await say(1)
    newest = await newest_revisions(broker.bootstrap)
    await say(2)
    seen = []
    async with aclosing(revisions_after(broker.bootstrap, newest)) as revisions:
        async for revision in revisions:
            if revision.incident_id != subject:
                continue
            seen.append(revision.revision)
            if seen == [2]:
                await say(2)
                await say(3)
            elif len(seen) == 2:
                break
    assert seen == [2, 3]


@pytest.mark.kafka
def test_following_ends_with_ctrl_c_and_status_0(broker, subject):
    publish(broker.bootstrap, incident(subject=subject, incident_id=subject))
    following = subprocess.Popen(
        [sys.executable, "-m", "topologies.cli", "incidents", "--follow", "--json", "--subject", subject],
        env={"DRIFTWIRE_BOOTSTRAP": broker.bootstrap, "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert following.stdout is not None
    assert orjson.loads(following.stdout.readline())["revision"] == 1
    publish(broker.bootstrap, incident(subject=subject, incident_id=subject, revision=2, status="resolved"))
    assert orjson.loads(following.stdout.readline())["status"] == "resolved"
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=20)
    assert (following.returncode, out, err) == (0, b"", b"")


async def test_what_is_no_incident_is_said_and_left_out(capsys):
    async def messages() -> AsyncIterator[RawMessage]:
        for value in (None, b"nonsense", incident().to_json()):
            yield RawMessage(ALERTS, 0, 7, STARTED, None, value)

    assert [one.incident_id async for one in incidents_in(messages())] == [alert(incident()).key.decode()]
    assert capsys.readouterr().err == "skipped the alert at offset 7: it is not an incident\n" * 2


def test_a_broker_that_is_not_there_is_one_line():
    result = run("--bootstrap", "127.0.0.1:1")
    assert isinstance(result.exception, BrokerUnreachable)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("arguments", [("--severity", "P5"), ("--bootstrap", "nowhere"), ("extra",)])
def test_wrong_use_is_status_2(arguments):
    assert run(*arguments).exit_code == 2
