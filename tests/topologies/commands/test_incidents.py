import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner, Result

from pipeline.step import RawMessage
from schemas.incident import Incident
from schemas.topics import ALERTS
from tests.pipeline.route.samples import STARTED, alert, incident
from topologies.commands.incidents import command, follow_revisions, read_newest_revisions
from topologies.incident_history import parse_incidents
from topologies.kafka import Cluster
from topologies.kafka.client import BrokerUnreachable, write_message


@pytest.fixture
def subject() -> str:
    """A subject for one test, because other tests write alerts too."""
    return f"subject-{uuid4().hex}"


def publish(cluster: Cluster, *revisions: Incident) -> None:
    async def run() -> None:
        for revision in revisions:
            await write_message(cluster, ALERTS, revision.incident_id.encode(), revision.to_json())

    asyncio.run(run())


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def shown(*arguments: str) -> list[tuple[str, int]]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    return [(line["incident_id"], line["revision"]) for line in map(orjson.loads, result.stdout.splitlines())]


@pytest.mark.kafka
def test_open_incidents_are_shown_in_their_newest_revision_by_severity(broker, subject):
    publish(
        broker.cluster,
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
def test_incidents_are_listed_and_each_is_shown_as_a_card_by_its_id(broker, subject):
    publish(
        broker.cluster,
        incident(subject=subject, incident_id=f"{subject}-a", title="it refuses", commander="ben"),
        incident(subject=subject, incident_id=f"{subject}-b", title="it is slow", severity="P2"),
        incident(subject=subject, incident_id=f"{subject}-c", title="it was slow", status="resolved"),
    )
    result = run("--subject", subject, "--bootstrap", broker.bootstrap)
    assert result.exit_code == 0
    head, slow, refusals = (line.split() for line in result.stdout.splitlines())
    assert head == ["severity", "status", "age", "owner", "incident", "subject", "title"]
    assert (slow[:2], slow[-6:]) == (["P2", "open"], ["nobody", f"{subject}-b", subject, "it", "is", "slow"])
    assert (refusals[:2], refusals[-5:]) == (["P3", "open"], ["ben", f"{subject}-a", subject, "it", "refuses"])

    result = run(f"{subject}-a", f"{subject}-c", "--bootstrap", broker.bootstrap)
    assert result.exit_code == 0
    assert result.stdout.startswith(" P3 OPEN ")
    assert "it refuses" in result.stdout
    assert "P3 RESOLVED" in result.stdout
    assert "it is slow" not in result.stdout
    assert shown(f"{subject}-c", "--bootstrap", broker.bootstrap) == [(f"{subject}-c", 1)]

    result = run(f"{subject}-d", "--bootstrap", broker.bootstrap)
    assert result.exit_code == 2
    assert f"there is no incident '{subject}-d': list the ids with driftwire incidents --all" in result.stderr


@pytest.mark.kafka
def test_no_open_incidents_is_reported_on_standard_error(broker, subject):
    result = run("--subject", subject, "--json", "--bootstrap", broker.bootstrap)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no open incidents\n")


@pytest.mark.kafka
async def test_following_yields_each_newer_revision_once_without_a_gap(broker, subject):
    async def publish_revision(revision: int) -> None:
        content = incident(incident_id=subject, revision=revision)
        await write_message(broker.cluster, ALERTS, content.incident_id.encode(), content.to_json())

    await publish_revision(1)
    newest = await read_newest_revisions(broker.cluster)
    await publish_revision(2)
    seen = []
    async with aclosing(follow_revisions(broker.cluster, newest)) as revisions:
        async for revision in revisions:
            if revision.incident_id != subject:
                continue
            seen.append(revision.revision)
            if seen == [2]:
                await publish_revision(2)
                await publish_revision(3)
            elif len(seen) == 2:
                break
    assert seen == [2, 3]


@pytest.mark.kafka
def test_ctrl_c_ends_following_with_status_0(broker, subject):
    publish(broker.cluster, incident(subject=subject, incident_id=subject))
    following = subprocess.Popen(
        [sys.executable, "-m", "topologies.cli", "incidents", "--follow", "--json", "--subject", subject],
        env={"DRIFTWIRE_BOOTSTRAP": broker.bootstrap, "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert following.stdout is not None
    assert orjson.loads(following.stdout.readline())["revision"] == 1
    publish(broker.cluster, incident(subject=subject, incident_id=subject, revision=2, status="resolved"))
    assert orjson.loads(following.stdout.readline())["status"] == "resolved"
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=60)
    assert (following.returncode, out, err) == (0, b"", b"")


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_following_reports_within_five_seconds_that_kafka_is_gone_and_goes_on_when_it_is_back(
    empty_broker, tmp_path
):
    async def publish_revision(revision: int) -> None:
        content = incident(incident_id="incident", revision=revision)
        await write_message(empty_broker.cluster, ALERTS, b"incident", content.to_json())

    async def wait_for(file: Path, text: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in text_of(file):
            assert time.monotonic() < deadline, f"no {text!r}: {text_of(out)} {text_of(err)}"
            await asyncio.sleep(0.1)

    gone = f"Kafka at {empty_broker.bootstrap} does not answer; waiting for it\n"
    back = f"Kafka at {empty_broker.bootstrap} answers again\n"
    out, err = tmp_path / "out", tmp_path / "err"
    java = empty_broker._java
    with open(out, "wb") as stdout, open(err, "wb") as stderr:  # noqa: PTH123, ASYNC230
        following = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", "topologies.cli", "incidents", "--follow", "--json"],
            env={
                "DRIFTWIRE_BOOTSTRAP": empty_broker.bootstrap,
                "PATH": "",
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            },
            stdout=stdout,
            stderr=stderr,
        )
    try:
        await wait_for(err, "no open incidents\n", 20)
        await publish_revision(1)
        await wait_for(out, '"revision":1', 20)
        java.send_signal(signal.SIGSTOP)
        await wait_for(err, gone, 5)
        java.send_signal(signal.SIGCONT)
        await wait_for(err, back, 10)
        await publish_revision(2)
        await wait_for(out, '"revision":2', 20)
        java.kill()
        await wait_for(err, gone + back + gone, 5)
        await empty_broker.stop()
        await empty_broker.start()
        await publish_revision(3)
        await wait_for(out, '"revision":3', 30)
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0
    finally:
        following.kill()
    assert [orjson.loads(line)["revision"] for line in text_of(out).splitlines()] == [1, 2, 3]
    assert text_of(err) == "no open incidents\n" + gone + back + gone + back


async def test_messages_that_are_not_incidents_are_reported_and_skipped(capsys):
    async def messages() -> AsyncIterator[RawMessage]:
        for value in (None, b"nonsense", incident().to_json()):
            yield RawMessage(ALERTS, 0, 7, STARTED, None, value)

    assert [parsed.incident_id async for parsed in parse_incidents(messages())] == [alert(incident()).key.decode()]
    assert capsys.readouterr().err == "skipped the alert at offset 7: it is not an incident\n" * 2


def test_a_missing_broker_is_one_line():
    result = run("--bootstrap", "127.0.0.1:1")
    assert isinstance(result.exception, BrokerUnreachable)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("arguments", [("--severity", "P5"), ("--bootstrap", "nowhere"), ("--unknown",)])
def test_wrong_use_is_status_2(arguments):
    assert run(*arguments).exit_code == 2
