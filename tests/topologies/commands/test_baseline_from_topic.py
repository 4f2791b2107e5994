"""``driftwire baseline learn --topic`` learns the same from Kafka as from a file, and says what to type next."""

import asyncio
import json
import random
import time

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from schemas.baseline import Baseline
from tests.topologies.commands.test_baseline import RECORDS, records
from tests.topologies.kafka.test_client import topic as topic  # noqa: PLC0414  a fixture
from topologies.baselines import read_baseline_status
from topologies.commands.baseline import command
from topologies.errors import DriftwireError

pytestmark = pytest.mark.kafka


def shifted(shift_ms, **world):
    return [record | {"timestamp": record["timestamp"] + shift_ms} for record in records(**world)]


async def write(broker, topic, values):
    world = random.Random(3)
    async with AIOKafkaProducer(**broker.cluster.client_options(), linger_ms=20) as producer:
        for value in values:
            await producer.send(topic, json.dumps(value).encode(), partition=world.choice([0, 0, 1, 2]))


async def learn(broker, topic, *arguments):
    options = ("--topic", topic, "--bootstrap", broker.bootstrap, *map(str, arguments))
    result = await asyncio.to_thread(CliRunner().invoke, command, ["learn", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


async def learn_from_file(tmp_path, values, *arguments):
    path, output = tmp_path / "records.ndjson", tmp_path / "from-file.json"
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    options = [str(path), "-o", str(output), *map(str, arguments)]
    result = await asyncio.to_thread(CliRunner().invoke, command, ["learn", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Baseline.from_json(output.read_bytes())


async def test_records_of_several_partitions_give_the_baseline_of_a_file(broker, topic, tmp_path):
    now_ms = time.time_ns() // 1_000_000
    mine = shifted(now_ms - next(records())["timestamp"] - 7_200_000)
    others = shifted(mine[0]["timestamp"] - next(records())["timestamp"], subject="search", seed=8)
    old = [record | {"timestamp": record["timestamp"] - 86_400_000} for record in mine[:500]]
    pairs = zip(mine, others, strict=True)
    await write(broker, topic, [*old, *(record for pair in pairs for record in pair), "no record"])
    readiness = ("--ready-after", "30m", "--ready-records", "1000")
    output = tmp_path / "baseline.json"
    printed = await learn(
        broker, topic, "--subject", "support-bot", "--since", "3h", "-o", output, "--publish", *readiness
    )
    baseline = Baseline.from_json(output.read_bytes())
    assert baseline == await learn_from_file(tmp_path, mine, *readiness)
    assert baseline.records == RECORDS
    assert f"{RECORDS} records over 50 min; unusable records: not_an_object 1" in printed
    assert (await read_baseline_status(broker.cluster, "support-bot"))[0] == baseline
    assert "the baseline covers 50 min of the day: what is normal at other hours can be reported as a drift" in printed
    again = f"driftwire baseline learn --topic {topic} --subject support-bot --since 25h --publish"
    assert printed.splitlines()[-1] == f"after a day, learn again: {again}"


async def test_too_few_records_are_refused_with_the_option_that_accepts_them(broker, topic, tmp_path):
    await write(broker, topic, records(count=900))
    with pytest.raises(DriftwireError, match=r"span 15 min, but a baseline needs 1 d: give more .* --ready-after 13m"):
        await learn(broker, topic, "--publish")
    with pytest.raises(DriftwireError, match=r"has 5000 records \(1000 for a rate\): .*, or add --ready-records 900"):
        await learn(broker, topic, "--publish", "--ready-after", "13m")
    output = tmp_path / "baseline.json"
    await learn(broker, topic, "-o", output, "--ready-after", "13m", "--ready-records", "900")
    assert Baseline.from_json(output.read_bytes()).records == 900


async def test_a_topic_without_records_of_the_subject_or_with_several_is_an_error(broker, topic):
    await write(broker, topic, [*records(count=50), *records("search", count=50)])
    with pytest.raises(DriftwireError, match=rf"{topic} at .* has no records of nobody in this period: check the name"):
        await learn(broker, topic, "--publish", "--subject", "nobody")
    with pytest.raises(DriftwireError, match=r"has 2 subjects \(search, support-bot\): select one with --subject"):
        await learn(broker, topic, "--publish")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give either FILES of records or --topic, not both"),
        (
            ("--topic", "driftwire.records"),
            "add --output FILE to write the baseline to a file, or --publish to publish it",
        ),
        (
            ("--topic", "t", "--publish", "--since", "2h", "--from", "1795000000000"),
            "give either --since or --from, not both",
        ),
    ],
)
def test_missing_and_conflicting_options_are_usage_errors(arguments, problem):
    result = CliRunner().invoke(command, ["learn", *arguments])
    assert result.exit_code == 2
    assert problem in result.stderr
