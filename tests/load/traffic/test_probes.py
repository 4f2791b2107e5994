"""Probes: records of the contract, at the times that were asked for."""

import time
from itertools import islice

import numpy as np
import pytest
from click.testing import CliRunner

import load.traffic.produce
from load.cli import command
from load.traffic.probes import probes
from load.traffic.produce import Produced
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.intake.reader import RecordReader
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from schemas.record import Record
from tests.pipeline.detect.worlds import blocks

START_MS = 1_795_489_920_000


def sent(**fields):
    values = {"start_ms": START_MS, "every_ms": 10_000, "blocked": True, "count": 5} | fields
    return [(line.time_ms, Record.from_json(line.value)) for line in islice(probes("bot", **values), 100)]


def test_each_is_a_record_that_says_only_whether_it_was_blocked():
    [(_, record)] = sent(count=1, blocked=False, environment="production")
    assert record.safety is not None
    assert record.safety.probe_blocked is False
    assert (record.subject, record.environment, record.infrastructure) == ("bot", "production", None)


def test_they_come_on_schedule_and_each_is_another():
    found = sent()
    assert [at for at, _ in found] == [record.timestamp for _, record in found]
    assert [at - START_MS for at, _ in found] == [0, 10_000, 20_000, 30_000, 40_000]
    assert len({record.request_id for _, record in found}) == 5


def test_without_a_count_there_is_no_end():
    assert len(sent(count=None)) == 100


def test_probes_are_no_requests_for_throughput():
    records = RecordReader().read([record.model_dump(exclude_none=True) for _, record in sent()])
    assert not records.is_request.any()


@pytest.fixture
def lines(monkeypatch):
    found = []

    async def produce(bootstrap, lines, *, speed):
        assert (bootstrap, speed) == ("kafka:9092", 1.0)
        found.extend(lines)
        return Produced(messages=len(found))

    monkeypatch.setattr(load.traffic.produce, "produce", produce)
    return found


def probe(*arguments):
    return CliRunner().invoke(command, ["probe", "--bootstrap", "kafka:9092", *arguments])


def test_the_command_sends_from_now_on_and_says_what_it_sent(lines):
    result = probe("--subject", "bot", "--count", "3", "--every", "1s", "--unblocked")
    assert result.exit_code == 0
    assert result.output == "3 probes of bot, not blocked\n"
    assert abs(lines[0].time_ms / 1000 - time.time()) < 60
    assert [line.time_ms - lines[0].time_ms for line in lines] == [0, 1000, 2000]


@pytest.mark.parametrize(
    "arguments", [["--every", "0s"], ["--every", "often"], ["--count", "0"], ["--subject", "x" * 201, "--count", "1"]]
)
def test_wrong_use_is_said(lines, arguments):
    result = probe(*arguments)
    assert result.exit_code == 2
    assert lines == []


def test_five_probes_that_are_not_blocked_page():
    settings = DetectSettings()
    learner = Learner("bot", settings)
    for part in blocks({"probe_blocked": np.ones(1100)}, per_s=0.1):
        learner.observe(part)
    judge, found = Monitor(learner.baseline("file"), settings), []
    probed = {"probe_blocked": np.concatenate([np.ones(50), np.zeros(5)])}
    for part in blocks(probed, per_s=0.1, size=1, start_ms=START_MS + 1100 * 10_000):
        found += judge.observe(part)
    (page,) = [each for each in found if each.tier == "page"]
    assert (page.signal.failure_mode, page.records) == ("filter_disabled", 5)
