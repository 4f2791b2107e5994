"""CloudEvents in structured mode, on every topic that other services write."""

import json
from base64 import b64decode

import pytest

from pipeline.correlate.decode import decode_message
from pipeline.decoding import Unreadable, decode_object
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.json_elements import parse_records
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import COMMANDS, DEAD_LETTERS, DEPLOYMENTS, RECORDS
from tests.pipeline.detect.streams import START_MS, as_json

DEPLOYMENT = {
    "version": 1, "deployment_id": "d-1", "subject": "bot", "kind": "prompt", "name": "prompt", "from": "v41",
    "to": "v42", "timestamp": "2026-11-24T03:00:00Z",
}  # fmt: skip
COMMAND = {
    "version": 1, "command_id": "c-1", "incident_id": "bot-2026-11-24-1", "action": "acknowledge", "author": "ada",
    "at": "2026-11-24T03:20:00Z",
}  # fmt: skip


def event(data, **attributes):
    return {"specversion": "1.0", "id": "e-1", "source": "/gateway", "type": "record", "data": data} | attributes


def record(number=1, **fields):
    return {
        "subject": "bot",
        "timestamp": START_MS + number,
        "request_id": f"r-{number}",
        "output": {"length": 3},
    } | fields


def admit(*values, **settings):
    """Return the step after live messages, and its dead letters."""
    step = DetectStep(0, DetectSettings(**settings), replay=False)
    messages = [RawMessage(RECORDS, 0, offset, START_MS, None, value) for offset, value in enumerate(values)]
    outputs = [output for output in step.step(messages) if output.topic == DEAD_LETTERS]
    return step, [DeadLetter.from_json(output.value) for output in outputs]


def test_an_envelope_around_a_record_is_read_like_the_record():
    attributes = {"subject": "not-the-subject", "time": "2020-01-01T00:00:00Z", "datacontenttype": "application/json"}
    values = [as_json(event(record(number, data={"input_length": 7}), **attributes)) for number in range(200)]
    plain = [as_json(record(number, data={"input_length": 7})) for number in range(200)]
    step, letters = admit(*values)
    expected, _ = admit(*plain)
    assert letters == []
    assert list(step.changed()) == list(expected.changed())
    assert step.counts()["used"] == 200


def test_records_and_envelopes_can_be_mixed_in_a_batch_and_in_an_array():
    mixed = [as_json(event(record(n)) if n % 3 else record(n)) for n in range(150)]
    array = as_json([event(record(500)), record(501), event(record(502)), event([])])
    step, letters = admit(*mixed, array, b"?")
    assert step.counts()["used"] == 153
    assert [(letter.offset, letter.index, letter.reason) for letter in letters] == [
        (150, 3, "contract"),
        (151, None, "not_json"),
    ]


def test_the_same_record_is_a_duplicate_in_another_envelope_and_without_one():
    values = (event(record()), event(record(), id="e-2"), record())
    step, _ = admit(*(as_json(value) for value in values))
    assert (step.counts()["used"], step.counts()["duplicates"]) == (1, 2)


def test_a_large_envelope_is_read():
    step, letters = admit(as_json(event(record(note="x" * 200_000), extra="y" * 1000)))
    assert (step.counts()["used"], letters) == (1, [])


BAD = {
    "another version": (event(record(), specversion="0.3"), "specversion"),
    "a version as a number": (event(record(), specversion=1.0), "specversion"),
    "no id": (event(record(), id=None), '"id"'),
    "an empty source": (event(record(), source=""), '"source"'),
    "a type that is no text": (event(record(), type=7), '"type"'),
    "binary data": (event(None, data_base64="e30="), "data_base64"),
    "no data": (event(None), "no data"),
    "data as text": (event(json.dumps(record())), "one JSON object"),
    "several records": (event([record()]), "one JSON object"),
    "an envelope in an envelope": (event(event(record())), "another CloudEvent"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("joined", [True, False])
def test_a_malformed_envelope_is_a_dead_letter_with_the_reason(name, joined):
    envelope, reason = BAD[name]
    value = as_json(envelope)
    step, letters = admit(as_json(record(1)), value, as_json(record(2)), *([] if joined else [b"?"]))
    assert step.counts()["used"] == 2
    assert [(letter.offset, letter.reason) for letter in letters][:1] == [(1, "contract")]
    assert reason in letters[0].detail
    assert b64decode(letters[0].value_base64) == value


def test_a_record_keeps_its_section_data():
    step, letters = admit(as_json(record(data={"input_length": 7}, id="x", source="y", type="z")))
    assert (step.counts()["used"], letters) == (1, [])


def test_a_replay_holds_and_releases_envelopes():
    step = DetectStep(0, DetectSettings(time_jump_records=5), replay=True)
    messages = [RawMessage(RECORDS, 0, n, 0, None, as_json(event(record(n)))) for n in range(20)]
    outputs = (
        step.step(messages[:3])
        + step.step(messages[3:])
        + step.step([RawMessage(RECORDS, 0, 20, 0, None, as_json(record(1)))])
    )
    assert [output for output in outputs if output.topic == DEAD_LETTERS] == []
    assert (step.counts()["used"], step.counts()["duplicates"]) == (20, 1)


@pytest.mark.parametrize(("topic", "content"), [(DEPLOYMENTS, DEPLOYMENT), (COMMANDS, COMMAND)])
def test_deployments_and_commands_can_be_envelopes(topic, content):
    def decode(value):
        return decode_message(RawMessage(topic, 0, 0, 0, None, json.dumps(value).encode()), replay=True)

    expected = decode(content)
    assert not isinstance(expected[0], Unreadable)
    assert decode(event(content)) == expected
    assert decode(event(content, specversion="0.3"))[0].reason == "contract"


def test_bad_text_in_an_envelope_is_replaced():
    value = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"note":"\\ud800"}}'
    assert decode_object(value, "a message", bytes_max=1000) == {"note": "\ufffd"}


def test_commands_that_only_look_at_records_see_the_data():
    assert parse_records(as_json([event({"subject": "bot"}), event(5), 7])) == [{"subject": "bot"}, event(5), 7]
