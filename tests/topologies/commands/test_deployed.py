import asyncio
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from schemas.deployment import Deployment
from schemas.topics import DEPLOYMENTS
from topologies.commands.deployed import command
from topologies.kafka import Cluster
from topologies.kafka.client import BrokerUnreachable, read_topic

AT = "2024-11-24T03:11:40Z"


def run(cluster: Cluster, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--author", "ci", "--bootstrap", cluster.bootstrap])


def written(cluster: Cluster, deployment_id: str) -> list[Deployment]:
    async def read() -> list[Deployment]:
        return [
            Deployment.from_json(message.value or b"")
            async for message in read_topic(cluster, DEPLOYMENTS)
            if message.key == deployment_id.encode()
        ]

    return asyncio.run(read())


@pytest.mark.kafka
def test_every_option_is_written_and_printed(broker, tmp_path):
    name = f"deploy-{uuid4().hex}"
    report = tmp_path / "deployment.json"
    result = run(
        broker.cluster,
        *("--subject", "support-bot", "--kind", "prompt", "--name", "system", "--from", "v41", "--to", "v42"),
        *("--id", name, "--at", AT, "--environment", "production", "--provider", "openai", "--rollback-of", "d-1"),
        *("--expect-shift", "length", "--expect-shift", "refused", "--summary", "shorter answers"),
        *("--json", str(report)),
    )
    assert result.exit_code == 0, result.output
    expected = Deployment(
        deployment_id=name,
        timestamp=1_732_417_900_000,
        kind="prompt",
        subject="support-bot",
        environment="production",
        provider="openai",
        name="system",
        from_version="v41",
        to_version="v42",
        rollback_of="d-1",
        expect_shift=["length", "refused"],
        summary="shorter answers",
        author="ci",
    )
    assert written(broker.cluster, name) == [expected]
    assert Deployment.from_json(report.read_bytes()) == expected
    assert result.stdout == (
        f"deployed prompt system v41 -> v42 for support-bot, production, openai at 2024-11-24T03:11:40.000Z ({name})\n"
    )


@pytest.mark.kafka
def test_deployments_without_an_id_get_different_ids(broker):
    ids = set()
    for _ in range(2):
        result = run(broker.cluster, "--provider", "openai", "--kind", "provider_status")
        assert result.exit_code == 0
        ids.add(result.stdout.rsplit("(", 1)[1].rstrip(")\n"))
    assert len(ids) == 2
    assert all(len(written(broker.cluster, deployment_id)) == 1 for deployment_id in ids)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--subject", "bot"), "Missing option '--kind'"),
        (("--subject", "bot", "--kind", "prompts"), "'prompts' is not one of"),
        (("--kind", "prompt"), "add --subject, --environment or --provider"),
        (("--kind", "prompt", "--subject", "a\nb"), "subject: String should match pattern"),
        (("--kind", "prompt", "--subject", "bot", "--id", ""), "deployment_id: String should have at least 1"),
        (
            ("--kind", "prompt", "--subject", "bot", "--expect-shift", "length", "--expect-shift", "refusde"),
            'expect_shift: unknown signal "refusde"; did you mean "refused"?',
        ),
        (
            ("--kind", "prompt", "--subject", "bot", "--from", "v2", "--to", "v2"),
            'from_version and to_version are the same: "v2"',
        ),
        (("--kind", "prompt", "--subject", "bot", "--at", "yesterday"), "RFC 3339 with an offset"),
        (
            ("--kind", "prompt", "--subject", "bot", "--at", "2999-01-01T00:00:00Z"),
            "is more than 5 min ahead of this computer's clock",
        ),
    ],
)
def test_wrong_use_is_reported_with_status_2_before_kafka_is_contacted(arguments, problem):
    result = run(Cluster("127.0.0.1:1"), *arguments)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())


def test_a_time_may_be_in_milliseconds():
    result = run(Cluster("127.0.0.1:1"), "--kind", "prompt", "--subject", "bot", "--at", "1732417900000")
    assert isinstance(result.exception, BrokerUnreachable)
    assert result.output == ""


@pytest.mark.kafka
def test_a_release_of_the_service_is_written(broker):
    name = f"deploy-{uuid4().hex}"
    result = run(broker.cluster, "--subject", "bot", "--kind", "code", "--to", "9f2c", "--id", name)
    assert result.exit_code == 0, result.output
    assert [(one.kind, one.to_version) for one in written(broker.cluster, name)] == [("code", "9f2c")]


@pytest.mark.parametrize("signal", ["throughput_ratio", "silence", "custom.toxicity"])
def test_derived_and_custom_signals_can_be_expected_to_shift(signal):
    result = run(Cluster("127.0.0.1:1"), "--kind", "prompt", "--subject", "bot", "--expect-shift", signal)
    assert isinstance(result.exception, BrokerUnreachable)
