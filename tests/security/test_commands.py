"""Commands with least privilege: each role can do its work, and errors name the missing permission and the user."""

import asyncio
import re
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from load.traffic import OutgoingMessage, produce
from schemas.topics import ALERTS, COMMANDS, DEPLOYMENTS, RECORDS, TOPICS
from tests.pipeline.route.samples import incident
from tests.security.acls import Acl, add_acls, documented_acls, remove_acls
from tests.security.secure_broker import INPUT_TOPIC, WORKERS, SecureBroker, password_of
from topologies.broker import create_topics
from topologies.cli import command
from topologies.commands import worker
from topologies.configuration import Configuration, write_configuration
from topologies.errors import DriftwireError, RightMissing
from topologies.kafka import write_message

pytestmark = pytest.mark.kafka


def run(broker: SecureBroker, folder: Path, user: str, *arguments: str) -> Result:
    """Run a command as a user."""
    path = folder / f"{user}.json"
    write_configuration(Configuration().with_cluster(broker.secure_cluster(user)), path)
    result = CliRunner().invoke(command, [*arguments, "--config", str(path)])
    assert password_of(user) not in f"{result.output}{result.stderr}{result.exception}"
    return result


def publish_incident(broker: SecureBroker) -> str:
    revision = incident(incident_id=f"inc-{uuid4().hex}", subject=f"bot-{uuid4().hex[:8]}")
    asyncio.run(write_message(broker.cluster, ALERTS, revision.incident_id.encode(), revision.to_json()))
    return revision.incident_id


DEPLOYED = ("deployed", "--kind", "prompt", "--subject", "bot", "--author", "ci")


def test_each_role_can_do_its_work(secure_broker: SecureBroker, tmp_path: Path) -> None:
    incident_id = publish_incident(secure_broker)
    for user, arguments in (
        ("reader", ("incidents", "--all")),
        ("reader", ("incident", "show", incident_id)),
        ("reader", ("incident", "review", incident_id, "--output", str(tmp_path))),
        ("reader", ("silence", "list")),
        ("reader", ("notifications", "--incident", incident_id)),
        ("operator", ("incidents",)),
        ("operator", ("incident", "ack", incident_id, "--author", "ana")),
        ("operator", ("silence", "add", incident_id, "--for", "1h", "--comment", "test", "--author", "ana")),
        ("deployer", DEPLOYED),
    ):
        result = run(secure_broker, tmp_path, user, *arguments)
        assert result.exit_code == 0, (user, arguments, result.exception, result.output)


@pytest.mark.parametrize(
    ("user", "arguments", "right"),
    [
        ("nobody", ("incidents",), "Read permission on topic driftwire.alerts"),
        ("deployer", ("incidents", "--follow"), "Read permission on topic driftwire.alerts"),
        ("reader", ("incident", "ack", "ID", "--author", "ana"), "Write permission on topic driftwire.commands"),
        ("reader", DEPLOYED, "Write permission on topic driftwire.deployments"),
        ("operator", DEPLOYED, "Write permission on topic driftwire.deployments"),
        ("nobody", ("baseline", "show", "bot"), "Read permission on topic driftwire.baselines"),
        ("reader", ("baseline", "accept", "bot", "--author", "ana"), None),
    ],
)
def test_a_command_without_a_right_names_it(
    secure_broker: SecureBroker, tmp_path: Path, user: str, arguments: tuple[str, ...], right: str | None
) -> None:
    incident_id = publish_incident(secure_broker)
    arguments = tuple(incident_id if argument == "ID" else argument for argument in arguments)
    result = run(secure_broker, tmp_path, user, *arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, DriftwireError)
    if right is not None:
        assert str(result.exception) == (f"{right} is missing: grant it to user {user} (see docs/security.md)")


@pytest.mark.parametrize(("step", "topic"), [("detect", RECORDS), ("correlate", DEPLOYMENTS), ("route", COMMANDS)])
def test_a_worker_without_a_right_at_its_start_names_it_and_says_what_happens_next(
    secure_broker: SecureBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, topic: str
) -> None:
    monkeypatch.setattr(worker, "BROKER_WAIT_S", 1.0)
    result = run(secure_broker, tmp_path, "nobody", "worker", step)
    missing = f"Read permission on topic {topic} is missing: grant it to user nobody"
    assert result.stderr == (
        f"{step}: {missing} (see docs/security.md); trying again for 1 s, then the worker ends with status 1\n"
    )
    assert str(result.exception) == f"{missing} (see docs/security.md)"
    assert result.exit_code == 1


async def test_an_optional_topic_needs_a_right_only_with_its_settings(secure_broker: SecureBroker) -> None:
    cluster = secure_broker.secure_cluster("driftwire-route")
    right = Acl("driftwire-route", "Read", "topic", DEPLOYMENTS)
    await remove_acls(secure_broker.cluster, [right])
    try:
        assert await create_topics(cluster, 1, 1, step="route") == []
        with pytest.raises(RightMissing, match=r"Read permission on topic driftwire\.deployments is missing"):
            await create_topics(cluster, 1, 1, step="route", optional_topics=(DEPLOYMENTS,))
    finally:
        await add_acls(secure_broker.cluster, [right])


async def test_a_producer_without_a_right_names_it(secure_broker: SecureBroker) -> None:
    with pytest.raises(RightMissing, match=r"Write permission on topic driftwire\.records is missing: .* user nobody"):
        await produce(secure_broker.secure_cluster("nobody"), [OutgoingMessage(0, None, b"{}")], topic=RECORDS)


async def test_topics_without_a_right_are_named_and_nothing_is_created(secure_broker: SecureBroker) -> None:
    with pytest.raises(RightMissing, match=r"Read permission on topic driftwire\.records is missing"):
        await create_topics(secure_broker.secure_cluster("nobody"), 1, 1, step="detect")


@pytest.mark.parametrize("user", WORKERS)
def test_the_documented_rights_of_a_worker_are_those_of_the_table_of_topics(user: str) -> None:
    step = user.removeprefix("driftwire-")
    expected = {Acl(user, "Read", "topic", row.name) for row in TOPICS if step in row.read_by}
    expected |= {Acl(user, "Write", "topic", row.name) for row in TOPICS if step in row.written_by}
    expected |= {Acl(user, "Read", "topic", INPUT_TOPIC)} if step == "intake" else set()
    expected |= {Acl(user, "Read", "group", user), Acl(user, "Write", "transactional_id", f"{user}-", "prefixed")}
    documented = [acl for acl in documented_acls() if acl.user == user]
    assert len(documented) == len(expected)
    assert set(documented) == expected


def test_the_page_names_no_secret_in_a_command() -> None:
    page = (Path(__file__).parents[2] / "docs/security.md").read_text()
    assert re.findall(r"password=(?!\"\$)", page) == []
