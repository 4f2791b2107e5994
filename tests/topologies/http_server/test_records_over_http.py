"""Records over HTTP: what is accepted is in Kafka, one message per record, and nothing of a refused request is."""

import gzip
import json
import time

import pytest

from topologies.intake import choose_partition

pytestmark = pytest.mark.kafka

LINES = "application/x-ndjson"
EVENT = "application/cloudevents+json"
EVENTS = "application/cloudevents-batch+json"


def record(number=0, **changes):
    subject = f"http-{number % 7}"
    return {
        "subject": subject,
        "timestamp": int(time.time() * 1000),
        "request_id": f"r-{number}",
        "infrastructure": {"latency_ms": 812.5},
    } | changes


def lines(contents):
    return b"\n".join(json.dumps(content).encode() for content in contents)


def event(data, **changes):
    return {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "com.example.record", "data": data} | changes


SENT = [record(number) for number in range(9)]
BINARY = {"ce_specversion": "1.0", "ce_id": "e-1", "ce_source": "/shop", "ce_type": "com.example.record"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(SENT).encode(), {}),
        (json.dumps(SENT, indent=2).encode(), {"Content_Type": "application/json; charset=utf-8"}),
        (lines(SENT), {"Content_Type": LINES}),
        (lines(SENT) + b"\r\n\n", {"Content_Type": "application/jsonl"}),
        (lines(SENT), {}),
        (gzip.compress(lines(SENT)), {"Content_Type": LINES, "Content_Encoding": "gzip"}),
        (gzip.compress(lines(SENT[:4]) + b"\n") + gzip.compress(lines(SENT[4:])), {"Content_Encoding": "gzip"}),
        (json.dumps([event(one) for one in SENT]).encode(), {"Content_Type": EVENTS}),
        (json.dumps(SENT).encode(), BINARY),
    ],
    ids=["array", "indented", "ndjson", "jsonl", "lines", "gzip", "members", "events", "binary"],
)
def test_every_form_of_a_body_becomes_one_message_per_record_with_the_key_of_its_subject(
    worker, records, body, headers
):
    answer = worker.send("/v1/records", body, **headers)
    assert (answer.status, answer.json()) == (200, {"records": 9, "warnings": []})
    written = records.read_new()
    assert sorted((json.loads(message.value) for message in written), key=lambda one: one["request_id"]) == SENT
    for message in written:
        assert message.key == json.loads(message.value)["subject"].encode()
        assert message.partition == choose_partition(message.key, 4)


@pytest.mark.parametrize(
    ("body", "headers"),
    [(SENT[0], {}), (event(SENT[0]), {"Content_Type": EVENT}), (event(SENT[0]), {}), (SENT[0], BINARY)],
    ids=["object", "structured", "structured without its type", "binary"],
)
def test_one_record_is_one_message(worker, records, body, headers):
    assert worker.send("/v1/records", body, **headers).status == 200
    (message,) = records.read_new()
    assert json.loads(message.value) == SENT[0]


GOOD = record()


@pytest.mark.parametrize(
    ("body", "headers", "place", "field", "reason"),
    [
        (lines([GOOD, GOOD, {"timestamp": 1}]), {"Content_Type": LINES}, {"line": 3}, "subject", "subject_missing"),
        (lines([GOOD]) + b'\n\n{"subject": ', {}, {"line": 3}, "", "not_json"),
        ([GOOD, record(timestamp=None)], {}, {"index": 1}, "timestamp", "timestamp_missing"),
        ([GOOD, record(timestamp="yesterday")], {}, {"index": 1}, "timestamp", "timestamp_invalid"),
        ([GOOD, record(timestamp=GOOD["timestamp"] - 10**10)], {}, {"index": 1}, "timestamp", "timestamp_out_of_range"),
        ([GOOD, record(subject="a\nb")], {}, {"index": 1}, "subject", "subject_invalid"),
        ([GOOD, 7], {}, {"index": 1}, "", "not_an_object"),
        (lines([GOOD, [GOOD, {}]]), {"Content_Type": LINES}, {"line": 2, "index": 1}, "subject", "subject_missing"),
        (b'{"subject": "bot",', {}, {}, "", "not_json"),
        (b" ", {}, {}, "", "empty"),
        (b"\xff", {}, {}, "", "not_utf8"),
        ([event(GOOD), event(GOOD, specversion="0.3")], {"Content_Type": EVENTS}, {"index": 1}, "", "contract"),
        ([event(GOOD), GOOD], {"Content_Type": EVENTS}, {"index": 1}, "", "contract"),
    ],
)
def test_a_record_that_would_be_a_dead_letter_is_refused_with_its_place_and_nothing_is_written(
    worker, records, body, headers, place, field, reason
):
    answer = worker.send("/v1/records", body, **headers)
    content = answer.json()
    assert answer.status == 400
    (problem,) = content["problems"]
    expected = {"field": field, "reason": reason} | place
    assert {name: problem[name] for name in problem if name != "message"} == expected
    assert all(f"{name} {number}" in content["error"] for name, number in place.items())
    assert records.read_new() == []


def test_a_binary_event_without_its_attributes_and_an_empty_array_are_refused(worker, records):
    answer = worker.send("/v1/records", GOOD, ce_specversion="1.0", ce_id="1", ce_source="/a")
    assert (answer.status, 'no "type"' in answer.json()["error"]) == (400, True)
    assert worker.send("/v1/records", []).status == 400
    assert records.read_new() == []


def test_the_first_ten_of_many_problems_are_listed_and_counted(worker):
    content = worker.send("/v1/records", [{}] * 500).json()
    assert (len(content["problems"]), content["problem_count"]) == (10, 500)
    assert "(and 499 more)" in content["error"]


def test_fields_that_detect_cannot_use_are_warnings_without_their_values(worker, records):
    odd = record(output={"refused": "s3cret", "refusal": True}, s3cret_note="s3cret")
    answer = worker.send("/v1/records", [odd, record(1), odd])
    assert answer.json() == {
        "records": 3,
        "warnings": [
            "output.refused is text in 1 record",
            "output.refusal is not a field of a record and is ignored: did you mean output.refused?",
            "1 other field of the records are not known and are ignored",
        ],
    }
    assert len(records.read_new()) == 3


def test_a_refused_record_is_not_repeated_in_the_answer_or_the_log(worker):
    for body in (b'{"subject": "s3cret', record(subject=["s3cret"]), record(timestamp="s3cret"), [["s3cret"]]):
        answer = worker.send("/v1/records", body)
        assert answer.status == 400
        assert b"s3cret" not in answer.body
    assert "s3cret" not in worker.output
