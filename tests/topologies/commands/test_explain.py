"""``driftwire explain``: the evidence of tests that fired, of tests that did not, and of records without a baseline."""

import json
import random

import pytest
from click.testing import CliRunner

from topologies.commands.explain import command
from topologies.errors import DriftwireError

START_MS = 1_795_000_000_000


def write(path, *, refused=0.01, count=6000, change=4500, subject="bot"):
    world = random.Random(3)
    with path.open("w") as file:
        for number in range(count):
            rate = refused if number >= change else 0.01
            record = {
                "subject": subject,
                "request_id": f"r-{number}",
                "timestamp": START_MS + number * 500,
                "versions": {"prompt": "v1"},
                "infrastructure": {"latency_ms": world.lognormvariate(6, 0.5)},
                "output": {"refused": world.random() < rate},
            }
            file.write(json.dumps(record) + "\n")
    return path


def explain(*arguments):
    result = CliRunner().invoke(
        command, [str(argument) for argument in arguments], catch_exceptions=False, env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    return result.output


READY = ("--ready-after", "30m", "--ready-records", "1000")


def test_a_failure_is_explained_with_its_evidence(tmp_path):
    report = tmp_path / "report.json"
    output = explain(write(tmp_path / "r.ndjson", refused=0.5), *READY, "--json", report)
    assert "refused rate up" in output
    assert "refused rose from" in output
    assert "█" in output
    assert "never came close" in output
    content = json.loads(report.read_text())
    fired = [channel for channel in content["channels"] if channel["drifts"]]
    assert {(channel["signal"], channel["tier"]) for channel in fired} == {("refused", "page"), ("refused", "ticket")}
    page = next(channel for channel in fired if channel["tier"] == "page")
    assert page["highest"] == pytest.approx(page["threshold"])
    shares = [share for _, share in page["evidence"]]
    assert min(shares) < 0.2
    assert shares[-1] == 1.0


def test_a_quiet_stream_shows_no_channel_unless_one_is_named(tmp_path):
    file = write(tmp_path / "r.ndjson")
    assert "█" not in explain(file, *READY)
    output = explain(file, *READY, "--signal", "latency_ms")
    assert "latency_ms location up" in output
    assert "stayed within its band" in output


def test_records_without_a_baseline_are_reported_as_not_monitored(tmp_path):
    output = explain(write(tmp_path / "r.ndjson", refused=0.5))
    assert "6000 records, and no baseline was ready: nothing was monitored" in output


def test_an_unknown_subject_is_an_error(tmp_path):
    with pytest.raises(DriftwireError, match="contain no usable records of stranger"):
        explain(write(tmp_path / "r.ndjson"), *READY, "--subject", "stranger")


def test_the_rules_that_apply_to_a_signal_are_named(tmp_path):
    configuration, report = tmp_path / "driftwire.toml", tmp_path / "report.json"
    configuration.write_text(
        '[[detect.signals]]\nsubject = "other"\nsignal = "refused"\nat_most = "off"\n'
        '[[detect.signals]]\nsignal = "refused"\nat_most = "cause"\nsmallest_change = 0.9\n'
        '[[detect.signals]]\nsignal = "latency_ms"\nat_most = "off"\n'
    )
    file = write(tmp_path / "r.ndjson", refused=0.5)
    output = explain(file, *READY, "--config", configuration, "--json", report)
    lines = " ".join(output.split())
    assert 'refused by rule: at_most = "cause" (detect.signals[1]), smallest_change = 0.9 (detect.signals[1])' in lines
    assert 'latency_ms by rule: at_most = "off" (detect.signals[2])' in lines
    content = json.loads(report.read_text())
    assert content["rules"]["refused"]["at_most"] == {"value": "cause", "rule": 1}
    assert {channel["tier"] for channel in content["channels"] if channel["signal"] == "refused"} == {"cause"}
    assert "latency_ms" not in {channel["signal"] for channel in content["channels"]}
