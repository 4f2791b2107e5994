import asyncio
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from schemas.topics import ALERTS, BASELINES, DEPLOYMENTS, DRIFTS
from tests.pipeline.correlate.builders import MINUTE, START
from tests.pipeline.review.worlds import DEPLOYMENTS as CHANGES
from tests.pipeline.review.worlds import MONITORED, baseline, drifts, revisions
from topologies.commands.incident import command
from topologies.errors import DriftwireError
from topologies.kafka import Cluster
from topologies.kafka.client import BrokerUnreachable, write_message


@pytest.fixture
def subject() -> str:
    """A subject for one test, because other tests write to the topics too."""
    return f"bot-{uuid4().hex}"


def publish(cluster: Cluster, subject: str, *, until: int = START + 40 * MINUTE) -> str:
    """Write the messages of an incident to their topics, and return its id."""
    incident_id = f"inc-{subject}"
    of_subject = {"subject": subject}

    async def run() -> None:
        for revision in revisions(until=until):
            copy = revision.model_copy(update=of_subject | {"incident_id": incident_id})
            await write_message(cluster, ALERTS, incident_id.encode(), copy.to_json())
        for drift in drifts():
            copy = drift.model_copy(update=of_subject)
            await write_message(cluster, DRIFTS, drift.drift_id.encode(), copy.to_json())
        for deployment in CHANGES:
            copy = deployment.model_copy(update=of_subject)
            await write_message(cluster, DEPLOYMENTS, deployment.deployment_id.encode(), copy.to_json())
        learned = baseline(*MONITORED, subject=subject)
        await write_message(cluster, BASELINES, f"{subject}/b-1".encode(), learned.to_json())

    asyncio.run(run())
    return incident_id


def run(cluster: Cluster, *arguments: object) -> Result:
    return CliRunner().invoke(command, ["review", *map(str, arguments), "--bootstrap", cluster.bootstrap])


@pytest.mark.kafka
def test_the_draft_and_its_picture_are_written_from_the_topics(broker, subject, tmp_path):
    incident_id = publish(broker.cluster, subject)
    result = run(broker.cluster, incident_id[:-1], "--output", tmp_path / "reviews")
    assert result.exit_code == 0, result.output
    draft, picture = (tmp_path / "reviews" / f"review-{incident_id}.{kind}" for kind in ("md", "svg"))
    assert result.stdout.splitlines() == [
        f"{draft}: draft review, from revision 7 of {incident_id}",
        f"{picture}: chart of the evidence",
    ]
    assert result.stderr == ""
    text = draft.read_text()
    assert "7 of 7 revisions of the incident." in text
    assert "messages of 2 of 2 drifts of the evidence." in text
    assert f"3 that affect `{subject}`" in text
    assert f"`b-1` of `{subject}` with 5 signals, which the drifts were measured against." in text
    assert f"](review-{incident_id}.svg)" in text
    assert b"prompt=v42" in picture.read_bytes()


@pytest.mark.kafka
def test_an_existing_draft_is_overwritten_only_with_force(broker, subject, tmp_path):
    incident_id = publish(broker.cluster, subject)
    draft = tmp_path / f"review-{incident_id}.md"
    draft.write_text("what people added")
    refused = run(broker.cluster, incident_id, "--output", tmp_path)
    assert isinstance(refused.exception, DriftwireError)
    assert str(refused.exception) == (
        f"refusing to overwrite {draft}: use --force, or choose another folder with --output"
    )
    assert draft.read_text() == "what people added"
    assert not draft.with_suffix(".svg").exists()
    assert run(broker.cluster, incident_id, "--output", tmp_path, "--force").exit_code == 0
    assert draft.read_text().startswith("# Post-incident review: ")


@pytest.mark.kafka
def test_the_draft_of_an_open_incident_names_its_end(broker, subject, tmp_path):
    incident_id = publish(broker.cluster, subject, until=START + 4 * MINUTE)
    result = run(broker.cluster, incident_id, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stderr == "the incident is still open: run this command again with --force once it is resolved\n"
    assert "this draft ends at 2026-11-24 03:15:00Z" in (tmp_path / f"review-{incident_id}.md").read_text()


@pytest.mark.kafka
def test_an_unknown_incident_is_a_usage_error_and_writes_nothing(broker, tmp_path):
    result = run(broker.cluster, "inc-nothing", "--output", tmp_path)
    assert result.exit_code == 2
    assert "there is no incident 'inc-nothing': list the ids with driftwire incidents --all" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kafka
def test_a_folder_that_cannot_be_created_is_an_error(broker, subject, tmp_path):
    incident_id = publish(broker.cluster, subject)
    (tmp_path / "file").write_text("")
    result = run(broker.cluster, incident_id, "--output", tmp_path / "file" / "inside")
    assert isinstance(result.exception, DriftwireError)
    assert "cannot be written: Not a directory" in str(result.exception)


def test_a_missing_broker_is_one_line(tmp_path):
    result = run(Cluster("127.0.0.1:1"), "inc-1", "--output", tmp_path)
    assert isinstance(result.exception, BrokerUnreachable)
    assert result.output == ""
