"""``driftwire baseline``: learn from a file, publish, show from file and topic, and refuse too few records."""

import asyncio
import gzip
import json
import math
import random
import time

import pytest
from click.testing import CliRunner

from schemas.baseline import Baseline
from schemas.message import AHEAD_MAX_MS
from schemas.relearn import Relearn
from schemas.timestamp import format_timestamp
from schemas.topics import BASELINES, DRIFTS
from tests.pipeline.correlate.builders import drift
from topologies.commands.baseline import command
from topologies.errors import DriftwireError
from topologies.kafka.client import read_topic, write_message

START_MS = 1_795_000_000_000
RECORDS = 3000
INTERVAL_MS = 1000


def records(subject="support-bot", count=RECORDS, seed=7, interval_ms=INTERVAL_MS, level=lambda _: 1.0, sampled=None):
    world = random.Random(seed)
    for number in range(count):
        yield {
            "subject": subject,
            "request_id": f"{subject}-{number}",
            "timestamp": START_MS + number * interval_ms,
            "infrastructure": {"latency_ms": world.lognormvariate(6, 0.5) * level(number * interval_ms)},
            "output": {"refused": world.random() < 0.01, "finish_reason": "stop"},
            "sampled": sampled,
        }


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "records.ndjson.gz"
    with gzip.open(path, "wt") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records())
    return path


def run(*arguments):
    result = CliRunner().invoke(
        command, [str(argument) for argument in arguments], catch_exceptions=False, env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    return result.output


def learn(file, tmp_path, *more):
    output = tmp_path / "baseline.json"
    printed = run("learn", file, "-o", output, "--ready-after", "30m", "--ready-records", "1000", *more)
    return output, printed


@pytest.mark.slow
def test_a_file_of_records_becomes_a_baseline(file, tmp_path):
    output, printed = learn(file, tmp_path)
    baseline = Baseline.from_json(output.read_bytes())
    assert baseline.subject == "support-bot"
    assert baseline.source == "file"
    assert baseline.records == RECORDS
    assert baseline.baseline_version in printed
    assert 0.005 < baseline.signals["refused"].channels["rate"].mean < 0.015
    assert "unusable records: none" in printed


@pytest.mark.slow
def test_the_same_file_gives_the_same_baseline(file, tmp_path):
    first = learn(file, tmp_path)[0].read_bytes()
    assert learn(file, tmp_path)[0].read_bytes() == first


@pytest.mark.slow
def test_a_csv_file_is_mapped_and_what_was_found_is_shown_first(tmp_path):
    path = tmp_path / "requests.csv"
    rows = [
        f"{format_timestamp(record['timestamp'])[:-1]};{record['infrastructure']['latency_ms'] / 1000:.3f}".replace(
            ".", ","
        )
        + f";{'t' if record['output']['refused'] else 'f'}"
        for record in records()
    ]
    rows.insert(100, "no cells")
    path.write_text("at;took;refused\n" + "\n".join(rows))
    mapping = ("--map", "at=timestamp", "--map", "took=latency_ms:s", "--subject", "bot", "--time-zone", "UTC")
    output, printed = learn(path, tmp_path, *mapping)
    baseline = Baseline.from_json(output.read_bytes())
    assert (baseline.subject, baseline.records) == ("bot", RECORDS)
    assert 300 < baseline.signals["latency_ms"].knots[256] < 600
    found, _, learned = printed.partition("1 unusable row, first in line 102")
    assert "CSV, semicolon, UTF-8" in found
    assert "number with decimal comma" in found
    assert "boolean f/t" in found
    assert "unusable records: none" in learned


def test_unusable_lines_are_counted_by_reason_and_skipped(file, tmp_path):
    bad = tmp_path / "bad.ndjson"
    bad.write_text('not json\n{"subject": "support-bot"}\n\n')
    output, printed = learn(file, tmp_path, str(bad))
    assert Baseline.from_json(output.read_bytes()).records == RECORDS
    assert "not_json 1" in printed
    assert "timestamp_missing 1" in printed


def test_too_short_a_period_is_refused_with_both_durations(file, tmp_path):
    with pytest.raises(DriftwireError, match=r"span 50 min, but a baseline needs 1 d"):
        run("learn", file, "-o", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.slow
def test_a_file_with_several_subjects_needs_a_subject(file, tmp_path):
    other = tmp_path / "other.ndjson"
    other.write_text("".join(json.dumps(record) + "\n" for record in records("search", seed=8)))
    with pytest.raises(DriftwireError, match=r"2 subjects \(search, support-bot\): select one with --subject"):
        learn(file, tmp_path, str(other))
    output, _ = learn(file, tmp_path, str(other), "--subject", "search")
    assert Baseline.from_json(output.read_bytes()).subject == "search"


def test_an_unknown_subject_is_an_error(file, tmp_path):
    with pytest.raises(DriftwireError, match="no records of nobody"):
        learn(file, tmp_path, "--subject", "nobody")


@pytest.mark.parametrize("options", [[], ["--subject", "support-bot"]])
def test_too_few_records_to_trust_their_times_are_an_error_that_says_so(tmp_path, options):
    path = tmp_path / "few.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in records(count=12)))
    expected = (
        r"contain 12 records of support-bot, which are too few: at least 20 must have times within "
        r"1 h of each other \(detect\.time_jump_records, detect\.time_jump_max_s\); unusable records: none"
    )
    with pytest.raises(DriftwireError, match=expected):
        learn(path, tmp_path, *options)


def test_a_truncated_file_is_named(file, tmp_path):
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DriftwireError, match=r"records\.ndjson\.gz cannot be read"):
        learn(file, tmp_path)


def test_show_lists_every_signal_with_its_normal_level_and_smallest_change(file, tmp_path):
    output, _ = learn(file, tmp_path)
    shown = run("show", output)
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert " ms" in rows["latency_ms"]
    assert "above" in rows["refused"]
    assert "stop 100 %" in rows["finish_reason"]


def test_show_says_that_any_change_of_a_constant_value_is_detected(tmp_path):
    path = tmp_path / "constant.ndjson"
    constant = [content | {"output": {"length": 212}} for content in records()]
    path.write_text("".join(json.dumps(content) + "\n" for content in constant))
    output, _ = learn(path, tmp_path)
    [row] = [line for line in run("show", output).splitlines() if line.startswith("length")]
    assert "e-" not in row
    assert "any rise" in row


def test_show_refuses_a_file_that_is_not_a_baseline(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text('{"subject": "support-bot"}')
    with pytest.raises(DriftwireError, match=r"baseline\.json is not a baseline: baseline_version: Field required"):
        run("show", path)


@pytest.mark.kafka
def test_a_published_baseline_is_shown_by_its_subject(file, tmp_path, broker):
    output, _ = learn(file, tmp_path)
    version = Baseline.from_json(output.read_bytes()).baseline_version
    assert version in run("publish", output, "--bootstrap", broker.bootstrap)
    assert version in run("show", "support-bot", "--bootstrap", broker.bootstrap)
    with pytest.raises(DriftwireError, match=r"no baseline of nobody .* support-bot"):
        run("show", "nobody", "--bootstrap", broker.bootstrap)


def test_accept_refuses_a_time_ahead_before_kafka_is_contacted():
    ahead = format_timestamp(int(time.time() * 1000) + AHEAD_MAX_MS + 60_000)
    arguments = ["accept", "bot", "--author", "jo", "--bootstrap", "127.0.0.1:1", "--from", ahead]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert "is more than 5 min ahead of this computer's clock" in " ".join(result.stderr.split())


@pytest.mark.kafka
def test_accept_requests_a_relearn_of_known_signals_only(file, tmp_path, broker):
    output, _ = learn(file, tmp_path)
    run("publish", output, "--bootstrap", broker.bootstrap)
    options = ("--bootstrap", broker.bootstrap, "--author", "jo", "--from", START_MS)
    printed = run("accept", "support-bot", "--signal", "refused", *options)
    assert "relearns refused of support-bot over 1 h" in printed
    with pytest.raises(DriftwireError, match=r"has no signal length: its signals are"):
        run("accept", "support-bot", "--signal", "length", *options)
    with pytest.raises(DriftwireError, match=r"no baseline of stranger"):
        run("accept", "stranger", *options)

    async def written():
        return [message.value async for message in read_topic(broker.cluster, BASELINES) if b"relearn" in message.value]

    assert "not monitored until done: refused (accepted, jo)" not in run("show", "support-bot", *options[:2])
    later = ("--bootstrap", broker.bootstrap, "--author", "jo", "--from", START_MS + 10 * RECORDS * INTERVAL_MS)
    run("accept", "support-bot", "--signal", "latency_ms", *later)
    assert "not monitored until done: latency_ms (accepted, jo)" in run("show", "support-bot", *options[:2])

    requests = [Relearn.from_json(value) for value in asyncio.run(written())]
    assert [(request.subject, request.signals, request.at, request.requested_by) for request in requests] == [
        ("support-bot", ["refused"], START_MS, "jo"),
        ("support-bot", ["latency_ms"], START_MS + 10 * RECORDS * INTERVAL_MS, "jo"),
    ]


@pytest.mark.kafka
def test_show_lists_the_frozen_channels_of_a_subject(file, tmp_path, broker):
    output, _ = learn(file, tmp_path)
    run("publish", output, "--bootstrap", broker.bootstrap)
    firing = drift("refused", subject="support-bot", drift_id="one")
    ended = drift("latency_ms", subject="support-bot", drift_id="two")
    of_other_subject = drift("refused", subject="search", drift_id="three")
    for message in (firing, ended, ended.model_copy(update={"state": "recovered", "sequence": 1}), of_other_subject):
        asyncio.run(write_message(broker.cluster, DRIFTS, b"support-bot", message.to_json()))
    printed = run("show", "support-bot", "--bootstrap", broker.bootstrap)
    frozen = [line for line in printed.splitlines() if line.startswith("frozen")]
    assert len(frozen) == 1
    assert f"refused rate up, a page since {format_timestamp(firing.started_at)}" in frozen[0]
    assert "frozen" not in run("show", output)


def test_only_records_of_the_given_period_are_learned(file, tmp_path):
    end = START_MS + 2400 * INTERVAL_MS
    output, _ = learn(file, tmp_path, "--to", end)
    assert Baseline.from_json(output.read_bytes()).records == 2400
    result = CliRunner().invoke(command, ["learn", str(file), "-o", str(output), "--from", str(end), "--to", str(end)])
    assert result.exit_code == 2
    assert "--to must be later than --from" in result.output


def learn_and_show(tmp_path, width, **world):
    path, output = tmp_path / "days.ndjson", tmp_path / "days.json"
    path.write_text("".join(json.dumps(record) + "\n" for record in records(**world)))
    printed = run("learn", path, "-o", output, "--ready-records", "1000")
    result = CliRunner().invoke(command, ["show", str(output)], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return printed, result.output


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 120])
def test_show_draws_the_hourly_profile_of_a_signal(tmp_path, width):
    def level(elapsed_ms):
        return math.exp(0.6 * math.sin(2 * math.pi * (START_MS + elapsed_ms) / 86_400_000))

    printed, output = learn_and_show(tmp_path, width, count=8000, interval_ms=45_000, level=level)
    [line] = [line for line in output.splitlines() if line.startswith("latency_ms by hour, UTC: ")]
    assert "█" in line
    assert "▁" in line
    assert "not monitored" not in printed
    assert max(map(len, output.splitlines())) <= width


@pytest.mark.slow
def test_learn_and_show_name_a_signal_that_was_still_moving(tmp_path):
    printed, output = learn_and_show(
        tmp_path, 160, count=6000, interval_ms=15_000, level=lambda elapsed_ms: 2.0 if elapsed_ms > 45_000_000 else 1.0
    )
    assert "not monitored, because the second half of the records differs from the first: latency_ms;" in printed
    assert "still moving" in output


def test_learn_says_that_a_rate_with_bunches_of_events_is_not_monitored(tmp_path):
    path = tmp_path / "records.ndjson"
    objects = list(records())
    for number, content in enumerate(objects):
        content["output"]["refused"] = number // 100 % 12 == 0 and number % 4 == 0
    path.write_text("\n".join(map(json.dumps, objects)))
    _, printed = learn(path, tmp_path)
    [line] = [line for line in printed.splitlines() if "is not monitored" in line]
    assert line.startswith("refused is not monitored, because its odds can change ")
    assert line.endswith("-fold without a failure; the limit is 4-fold; learn from more records")


def test_learn_prints_the_fields_that_could_not_be_used_and_look_alikes(tmp_path):
    path = tmp_path / "records.ndjson"
    objects = list(records())
    for content in objects[::10]:
        content["output"] |= {"refused": "by policy", "refusal": True}
    path.write_text("\n".join(map(json.dumps, objects)))
    _, printed = learn(path, tmp_path)
    assert f"output.refused is text in {len(objects[::10]):,} records" in printed
    assert "output.refusal is not a field of a record and is ignored: did you mean output.refused?" in printed


@pytest.mark.slow
def test_learn_and_show_say_that_rates_of_sampled_records_are_not_monitored(tmp_path):
    printed, output = learn_and_show(tmp_path, 160, count=6000, interval_ms=15_000, sampled="tail")
    assert "records are sampled by outcome, so signals that depend on the outcome are not monitored" in printed
    assert "up: not testable, its records are sampled by" in output
