"""``driftwire explain``: what fired says why, what did not says so, and nothing ready is said loudly."""

import json
import random

import pytest
from click.testing import CliRunner

from topologies.commands.explain import command
from topologies.errors import Failure

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
        command, [str(each) for each in arguments], catch_exceptions=False, env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    return result.output


READY = ("--ready-after", "30m", "--ready-records", "1000")


def test_a_failure_is_explained_with_its_evidence(tmp_path):
    report = tmp_path / "report.json"
    said = explain(write(tmp_path / "r.ndjson", refused=0.5), *READY, "--json", report)
    assert "refused rate up" in said
    assert "refused rose from" in said
    assert "█" in said
    assert "never came near" in said
    content = json.loads(report.read_text())
    fired = [each for each in content["channels"] if each["drifts"]]
    assert {(each["signal"], each["tier"]) for each in fired} == {("refused", "page"), ("refused", "ticket")}
    page = next(each for each in fired if each["tier"] == "page")
    assert page["highest"] == pytest.approx(page["threshold"])
    shares = [share for _, share in page["evidence"]]
    assert min(shares) < 0.2
    assert shares[-1] == 1.0


def test_a_quiet_stream_shows_nothing_until_a_signal_is_asked_for(tmp_path):
    file = write(tmp_path / "r.ndjson")
    assert "█" not in explain(file, *READY)
    said = explain(file, *READY, "--signal", "latency_ms")
    assert "latency_ms location up" in said
    assert "stayed within its band" in said


def test_records_of_which_nothing_was_judged_say_so(tmp_path):
    said = explain(write(tmp_path / "r.ndjson", refused=0.5))
    assert "6000 records, and no baseline was ready: nothing was judged" in said


def test_a_subject_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(Failure, match="have no usable records of stranger"):
        explain(write(tmp_path / "r.ndjson"), *READY, "--subject", "stranger")
