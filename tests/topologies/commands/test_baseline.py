"""``driftwire baseline``: learned from a file, published, shown again from the topic, and refused where too little."""

import asyncio
import gzip
import json
import math
import random

import pytest
from click.testing import CliRunner

from schemas.baseline import Baseline
from schemas.relearn import Relearn
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES, DRIFTS
from tests.pipeline.correlate.builders import drift
from topologies.commands.baseline import command
from topologies.errors import Failure
from topologies.kafka.client import read_all, write

START_MS = 1_795_000_000_000
RECORDS = 3000
INTERVAL_MS = 1000


def records(subject="support-bot", count=RECORDS, seed=7, interval_ms=INTERVAL_MS, level=lambda _: 1.0):
    world = random.Random(seed)
    for number in range(count):
        yield {
            "subject": subject,
            "request_id": f"{subject}-{number}",
            "timestamp": START_MS + number * interval_ms,
            "infrastructure": {"latency_ms": world.lognormvariate(6, 0.5) * level(number * interval_ms)},
            "output": {"refused": world.random() < 0.01, "finish_reason": "stop"},
        }


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "records.ndjson.gz"
    with gzip.open(path, "wt") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records())
    return path


def baseline(*arguments):
    result = CliRunner().invoke(
        command, [str(argument) for argument in arguments], catch_exceptions=False, env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    return result.output


def learned(file, tmp_path, *more):
    output = tmp_path / "baseline.json"
    said = baseline("learn", file, "-o", output, "--ready-after", "30m", "--ready-records", "1000", *more)
    return output, said


def test_a_file_of_records_becomes_a_baseline(file, tmp_path):
    output, said = learned(file, tmp_path)
    found = Baseline.from_json(output.read_bytes())
    assert found.subject == "support-bot"
    assert found.source == "file"
    assert found.records == RECORDS
    assert found.baseline_version in said
    assert 0.005 < found.signals["refused"].channels["rate"].mean < 0.015
    assert "unusable records: none" in said


def test_the_same_file_gives_the_same_baseline(file, tmp_path):
    first = learned(file, tmp_path)[0].read_bytes()
    assert learned(file, tmp_path)[0].read_bytes() == first


def test_lines_that_cannot_be_used_are_counted_by_reason_and_cost_nothing_else(file, tmp_path):
    bad = tmp_path / "bad.ndjson"
    bad.write_text('not json\n{"subject": "support-bot"}\n\n')
    output, said = learned(file, tmp_path, str(bad))
    assert Baseline.from_json(output.read_bytes()).records == RECORDS
    assert "not_json 1" in said
    assert "timestamp_missing 1" in said


def test_too_short_a_time_is_refused_with_both_durations(file, tmp_path):
    with pytest.raises(Failure, match=r"span 50 min and a baseline needs 1 d"):
        baseline("learn", file, "-o", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_several_subjects_need_a_name(file, tmp_path):
    other = tmp_path / "other.ndjson"
    other.write_text("".join(json.dumps(record) + "\n" for record in records("search", seed=8)))
    with pytest.raises(Failure, match=r"2 subjects \(search, support-bot\): name one with --subject"):
        learned(file, tmp_path, str(other))
    output, _ = learned(file, tmp_path, str(other), "--subject", "search")
    assert Baseline.from_json(output.read_bytes()).subject == "search"


def test_a_subject_that_is_not_there_is_told(file, tmp_path):
    with pytest.raises(Failure, match="no records of nobody"):
        learned(file, tmp_path, "--subject", "nobody")


def test_a_file_that_breaks_off_is_named(file, tmp_path):
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(Failure, match=r"records\.ndjson\.gz cannot be read"):
        learned(file, tmp_path)


def test_show_lists_each_signal_with_what_is_normal_and_what_would_be_seen(file, tmp_path):
    output, _ = learned(file, tmp_path)
    shown = baseline("show", output)
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert " ms" in rows["latency_ms"]
    assert "above" in rows["refused"]
    assert "stop 100 %" in rows["finish_reason"]


def test_show_refuses_what_is_no_baseline(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text('{"subject": "support-bot"}')
    with pytest.raises(Failure, match=r"baseline\.json is not a baseline: baseline_version: Field required"):
        baseline("show", path)


@pytest.mark.kafka
def test_a_published_baseline_is_shown_by_the_name_of_its_subject(file, tmp_path, broker):
    output, _ = learned(file, tmp_path)
    version = Baseline.from_json(output.read_bytes()).baseline_version
    assert version in baseline("publish", output, "--bootstrap", broker.bootstrap)
    assert version in baseline("show", "support-bot", "--bootstrap", broker.bootstrap)
    with pytest.raises(Failure, match=r"no baseline of nobody .* support-bot"):
        baseline("show", "nobody", "--bootstrap", broker.bootstrap)


@pytest.mark.kafka
def test_an_accepted_normal_is_asked_for_once_and_only_of_what_is_known(file, tmp_path, broker):
    output, _ = learned(file, tmp_path)
    baseline("publish", output, "--bootstrap", broker.bootstrap)
    where = ("--bootstrap", broker.bootstrap, "--author", "jo", "--from", START_MS)
    said = baseline("accept", "support-bot", "--signal", "refused", *where)
    assert "relearns refused of support-bot over 1 h" in said
    with pytest.raises(Failure, match=r"knows no length: it has"):
        baseline("accept", "support-bot", "--signal", "length", *where)
    with pytest.raises(Failure, match=r"no baseline of stranger"):
        baseline("accept", "stranger", *where)

    async def written():
        return [message.value async for message in read_all(broker.bootstrap, BASELINES) if b"relearn" in message.value]

    assert "not monitored until done: refused (accepted, jo)" not in baseline("show", "support-bot", *where[:2])
    later = ("--bootstrap", broker.bootstrap, "--author", "jo", "--from", START_MS + 10 * RECORDS * INTERVAL_MS)
    baseline("accept", "support-bot", "--signal", "latency_ms", *later)
    assert "not monitored until done: latency_ms (accepted, jo)" in baseline("show", "support-bot", *where[:2])

    asked = [Relearn.from_json(value) for value in asyncio.run(written())]
    assert [(each.subject, each.signals, each.at, each.requested_by) for each in asked] == [
        ("support-bot", ["refused"], START_MS, "jo"),
        ("support-bot", ["latency_ms"], START_MS + 10 * RECORDS * INTERVAL_MS, "jo"),
    ]


@pytest.mark.kafka
def test_show_names_what_of_a_subject_is_frozen(file, tmp_path, broker):
    output, _ = learned(file, tmp_path)
    baseline("publish", output, "--bootstrap", broker.bootstrap)
    firing = drift("refused", subject="support-bot", drift_id="one")
    over = drift("latency_ms", subject="support-bot", drift_id="two")
    others = drift("refused", subject="search", drift_id="three")
    for each in (firing, over, over.model_copy(update={"state": "recovered", "sequence": 1}), others):
        asyncio.run(write(broker.bootstrap, DRIFTS, b"support-bot", each.to_json()))
    said = baseline("show", "support-bot", "--bootstrap", broker.bootstrap)
    frozen = [line for line in said.splitlines() if line.startswith("frozen")]
    assert len(frozen) == 1
    assert f"refused rate up, a page since {format_timestamp(firing.started_at)}" in frozen[0]
    assert "frozen" not in baseline("show", output)


def test_only_the_times_asked_for_are_learned_from(file, tmp_path):
    end = START_MS + 2400 * INTERVAL_MS
    output, _ = learned(file, tmp_path, "--to", end)
    assert Baseline.from_json(output.read_bytes()).records == 2400
    result = CliRunner().invoke(command, ["learn", str(file), "-o", str(output), "--from", str(end), "--to", str(end)])
    assert result.exit_code == 2
    assert "--to must be later than --from" in result.output


def shown(tmp_path, width, **world):
    path, output = tmp_path / "days.ndjson", tmp_path / "days.json"
    path.write_text("".join(json.dumps(record) + "\n" for record in records(**world)))
    said = baseline("learn", path, "-o", output, "--ready-records", "1000")
    result = CliRunner().invoke(command, ["show", str(output)], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return said, result.output


@pytest.mark.parametrize("width", [80, 120])
def test_show_draws_the_hours_of_what_is_judged_by_the_hour(tmp_path, width):
    def level(elapsed_ms):
        return math.exp(0.6 * math.sin(2 * math.pi * (START_MS + elapsed_ms) / 86_400_000))

    said, output = shown(tmp_path, width, count=8000, interval_ms=45_000, level=level)
    [line] = [line for line in output.splitlines() if line.startswith("latency_ms by hour, UTC: ")]
    assert "█" in line
    assert "▁" in line
    assert "not monitored" not in said
    assert max(map(len, output.splitlines())) <= width


def test_learn_and_show_name_what_was_still_moving(tmp_path):
    said, output = shown(
        tmp_path, 160, count=6000, interval_ms=15_000, level=lambda elapsed_ms: 2.0 if elapsed_ms > 45_000_000 else 1.0
    )
    assert "not monitored, because the second half of the records differs from the first: latency_ms;" in said
    assert "still moving" in output
