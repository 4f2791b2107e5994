"""Probes: records of the contract on schedule, and the command that sends them."""

import time
from itertools import islice

import numpy as np
import pytest
from click.testing import CliRunner

import load.traffic
from load.cli import command
from load.traffic.probes import generate_probes
from load.traffic.producer import ProduceResult
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from schemas.record import Record
from tests.pipeline.detect.worlds import blocks
from topologies.kafka import Cluster

START_MS = 1_795_489_920_000


def generate(**fields):
    values = {"start_ms": START_MS, "every_ms": 10_000, "blocked": True, "count": 5} | fields
    messages = islice(generate_probes("bot", **values), 100)
    return [(message.time_ms, Record.from_json(message.value)) for message in messages]


def test_a_probe_is_a_record_of_whether_it_was_blocked_and_nothing_else():
    [(_, record)] = generate(count=1, blocked=False, environment="production")
    assert record.safety is not None
    assert record.safety.probe_blocked is False
    assert (record.subject, record.environment, record.infrastructure) == ("bot", "production", None)


def test_probes_are_on_schedule_and_have_distinct_ids():
    probes = generate()
    assert [at for at, _ in probes] == [record.timestamp for _, record in probes]
    assert [at - START_MS for at, _ in probes] == [0, 10_000, 20_000, 30_000, 40_000]
    assert len({record.request_id for _, record in probes}) == 5


def test_without_a_count_probes_do_not_end():
    assert len(generate(count=None)) == 100


def test_probes_do_not_count_as_requests():
    records = RecordReader().read([record.model_dump(exclude_none=True) for _, record in generate()])
    assert not records.is_request.any()


@pytest.fixture
def messages(monkeypatch):
    sent = []

    async def produce(cluster, messages, *, speed):
        assert (cluster, speed) == (Cluster("kafka:9092"), 1.0)
        sent.extend(messages)
        return ProduceResult(messages=len(sent))

    monkeypatch.setattr(load.traffic, "produce", produce)
    return sent


def probe(*arguments):
    return CliRunner().invoke(command, ["probe", "--bootstrap", "kafka:9092", *arguments])


def test_the_command_sends_from_now_on_and_prints_the_number(messages):
    result = probe("--subject", "bot", "--count", "3", "--every", "1s", "--unblocked")
    assert result.exit_code == 0
    assert result.output == "sent 3 probes for bot, not blocked\n"
    assert abs(messages[0].time_ms / 1000 - time.time()) < 60
    assert [message.time_ms - messages[0].time_ms for message in messages] == [0, 1000, 2000]


@pytest.mark.parametrize(
    "arguments", [["--every", "0s"], ["--every", "often"], ["--count", "0"], ["--subject", "x" * 201, "--count", "1"]]
)
def test_wrong_use_sends_nothing(messages, arguments):
    result = probe(*arguments)
    assert result.exit_code == 2
    assert messages == []


def test_five_unblocked_probes_page():
    settings = DetectSettings()
    learner = Learner("bot", settings)
    for block in blocks({"probe_blocked": np.ones(1100)}, per_s=0.1):
        learner.observe(block)
    monitor, findings = Monitor(learner.baseline("file"), settings), []
    probed = {"probe_blocked": np.concatenate([np.ones(50), np.zeros(5)])}
    for block in blocks(probed, per_s=0.1, size=1, start_ms=START_MS + 1100 * 10_000):
        findings += monitor.observe(block)
    (page,) = [finding for finding in findings if finding.tier == "page"]
    assert (page.signal.failure_mode, page.records) == ("filter_disabled", 5)
