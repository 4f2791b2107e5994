import asyncio
import gzip
import json

import pytest
from click.testing import CliRunner

from schemas.topics import DAY_MS, RECORDS
from tests.pipeline.detect.streams import START_MS, as_json
from topologies.commands.records import command
from topologies.kafka import write_message


def a_record(number=0, **fields):
    return {"subject": "bot", "request_id": f"r-{number}", "timestamp": START_MS + 1000 * number} | fields


NOT_JSON = "invalid literal, expected 'null': line 1 column 1 (char 0)"
GOOD = as_json(a_record(output={"refused": False, "length": 12}))
LINES = [
    GOOD,
    b"",
    as_json(a_record(1, output={"refused": "by policy 7", "refusal": True, "length": "12"}, latencyMs=3)),
    as_json([a_record(2, output={"confidence": 7}), {"timestamp": START_MS}, a_record(0, custom={"a": "low"})]),
    GOOD,
    b"nope",
]


def run(*arguments):
    return CliRunner().invoke(command, ["check", *map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "records.ndjson"
    path.write_bytes(b"\n".join(LINES))
    return path


def test_every_problem_has_its_place_what_it_is_and_what_to_do(file):
    result = run(file)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{file}:3: output.refused is text: send true or false",
        f"{file}:4[0]: output.confidence is out of bounds: send a number from 0 to 1",
        f"{file}:4[1]: the record has no subject: send a subject of 1 to 200 characters",
        f"{file}:4[2]: custom is text: send a number or a boolean, and always the same kind",
        f"{file}:6: the message is not JSON: {NOT_JSON}: send one JSON object per record",
        "4 records used, 2 unusable (not_json 1, subject_missing 1), 1 dropped as duplicates, 1 older than an earlier record",
        "dropped: custom is text in 1 record",
        "dropped: output.confidence is out of bounds in 1 record",
        "dropped: output.refused is text in 1 record",
        "converted: output.length in 1 record",
        "unknown and ignored: latencyMs (did you mean infrastructure.latency_ms?) in 1 record",
        "unknown and ignored: output.refusal (did you mean output.refused?) in 1 record",
    ]
    assert "by policy" not in result.output


def test_good_records_exit_with_0(tmp_path):
    path = tmp_path / "records.ndjson.gz"
    path.write_bytes(gzip.compress(GOOD))
    result = run(path)
    assert result.exit_code == 0
    assert result.output == "1 record used, 0 unusable, 0 dropped as duplicates, 0 older than an earlier record\n"


def test_a_byte_order_mark_at_the_start_of_a_file_is_no_problem(tmp_path):
    path = tmp_path / "marked.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"subject": "bot", "timestamp": 1_795_489_920_123}).encode())
    result = CliRunner().invoke(command, ["check", str(path)])
    assert "1 record used, 0 unusable" in result.output
    assert result.exit_code == 0


def test_only_the_first_places_of_a_problem_are_listed_unless_all_are_wanted(tmp_path):
    path = tmp_path / "records.ndjson"
    path.write_bytes(b"\n".join(as_json(a_record(n, output={"refused": "no way"})) for n in range(30)))
    assert run(path).output.count("send true or false") == 10
    assert run(path, "--all").output.count("send true or false") == 30
    assert "dropped: output.refused is text in 30 records" in run(path).output


def test_json_has_one_object_per_problem_and_a_summary(file):
    *problems, last = map(json.loads, run(file, "--json").output.splitlines())
    assert [(problem["place"], problem["field"], problem["reason"]) for problem in problems] == [
        (f"{file}:3", "output.refused", "is_text"),
        (f"{file}:4[0]", "output.confidence", "out_of_bounds"),
        (f"{file}:4[1]", "", "subject_missing"),
        (f"{file}:4[2]", "custom", "is_text"),
        (f"{file}:6", "", "not_json"),
    ]
    assert last["summary"]["records_used"] == 4
    assert last["summary"]["records_unusable"] == {"subject_missing": 1, "not_json": 1}
    assert last["summary"]["unknown_fields"] == {"latencyMs": 1, "output.refusal": 1}


def test_files_and_a_topic_exclude_each_other(file):
    assert run().exit_code == run(file, "--topic", RECORDS).exit_code == 2


@pytest.mark.kafka
async def test_a_topic_is_checked_with_the_time_of_arrival(empty_broker):
    old = as_json(a_record(1, timestamp=START_MS - 90 * DAY_MS))
    for value in (old, b"nope"):
        await write_message(empty_broker.cluster, RECORDS, b"bot", value)
    result = await asyncio.to_thread(run, "--topic", RECORDS, "--bootstrap", empty_broker.bootstrap)
    assert result.exit_code == 1
    first, second, summary = result.output.splitlines()
    assert first.startswith(f"{RECORDS}/")
    assert "before the arrival of the message: send the record when the request ends" in first
    assert "the message is not JSON" in second
    assert "0 records used, 2 unusable (not_json 1, timestamp_out_of_range 1)" in summary
