import base64

import orjson
import pytest

from pipeline.correlate.decode import Content, decode_message
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.decoding import Unreadable
from pipeline.step import RawMessage
from schemas.drift import Drift
from schemas.tick import Tick
from schemas.topics import COMMANDS, DEPLOYMENTS, DRIFTS, RECORDS
from tests.pipeline.correlate.builders import (
    MINUTE,
    START,
    command,
    dead_letters,
    deployment,
    drift,
    incidents,
    kafka,
    only,
    tick,
)

BAD = [
    (DRIFTS, None, "tombstone"),
    (DRIFTS, b"", "empty"),
    (DRIFTS, b" \n", "empty"),
    (DRIFTS, b"\xff\xfe{}", "not_utf8"),
    (DRIFTS, b"{", "not_json"),
    (DRIFTS, b'{"now": NaN}', "contract"),
    (DRIFTS, b'{"now": 1e400}', "contract"),
    (DRIFTS, b"[" * 5000, "not_json"),
    (DRIFTS, b"[]", "not_an_object"),
    (DRIFTS, b"3", "not_an_object"),
    (DRIFTS, b"null", "not_an_object"),
    (DRIFTS, b"{}", "contract"),
    (DRIFTS, b'{"type": "rumour"}', "contract"),
    (DRIFTS, b'{"type": ["tick"]}', "contract"),
    (DRIFTS, b'{"type": "tick", "partition": "0"}', "contract"),
    (DRIFTS, b'{"type": "tick", "partition": 0, "watermark": 12}', "contract"),
    (DRIFTS, orjson.dumps(orjson.loads(drift().to_json()) | {"version": 2}), "contract"),
    (DRIFTS, orjson.dumps(orjson.loads(drift().to_json()) | {"started_at": "2026-13-01T00:00:00Z"}), "contract"),
    (DRIFTS, drift().to_json().replace(b'"partition":0', b'"partition":9223372036854775808'), "contract"),
    (DRIFTS, drift().to_json().replace(b'"records":234', b'"records":' + b"9" * 30), "contract"),
    (DRIFTS, b'{"type": "tick", "partition": -18446744073709551616}', "contract"),
    (DEPLOYMENTS, b'{"deployment_id": "d-1"}', "contract"),
    (DEPLOYMENTS, deployment().to_json().replace(b'"prompt"', b'["prompt"]'), "contract"),
    (DEPLOYMENTS, deployment().to_json().replace(b'"support-bot"', b"[]"), "contract"),
    (DEPLOYMENTS, deployment().to_json().replace(b'"support-bot"', b'["chat", null]'), "contract"),
    (COMMANDS, b'{"action": "resolve"}', "contract"),
    (DEPLOYMENTS, deployment(expect_shift=["length"] * 10_000).to_json(), "too_large"),
    (COMMANDS, b'"resolve"', "not_an_object"),
]


def message(topic, value, offset=7):
    return RawMessage(topic, 0, offset, START, b"key", value)


def decode(topic, value) -> Content:
    [content] = decode_message(message(topic, value))
    return content


@pytest.mark.parametrize(("topic", "value", "reason"), BAD)
def test_an_unreadable_message_is_a_dead_letter_with_its_reason_and_bytes(topic, value, reason):
    [output] = CorrelateStep(CorrelateSettings()).step([message(topic, value)])
    [letter] = dead_letters([output])
    assert (letter.step, letter.reason, letter.topic, letter.offset) == ("correlate", reason, topic, 7)
    assert letter.detail
    assert letter.value_base64 == (None if value is None else base64.b64encode(value).decode())


def test_bad_messages_between_good_ones_change_nothing():
    good = [deployment(), drift(), tick(START + 1000)]
    clean = CorrelateStep(CorrelateSettings())
    expected = clean.step(kafka(good))
    mixed = CorrelateStep(CorrelateSettings())
    outputs = []
    for index, good_message in enumerate(kafka(good)):
        bad = [message(topic, value, 100 * index + number) for number, (topic, value, _) in enumerate(BAD)]
        outputs += mixed.step(bad)
        outputs += mixed.step([good_message])
    assert incidents(outputs) == incidents(expected)
    assert list(mixed.changed()) == list(clean.changed())


def test_the_same_message_gives_the_same_dead_letter():
    twice = [CorrelateStep(CorrelateSettings()).step([message(DRIFTS, b"{")]) for _ in range(2)]
    assert twice[0] == twice[1]


def test_the_detail_names_five_problems_at_most():
    content = decode(DRIFTS, b'{"type": "drift"}')
    assert isinstance(content, Unreadable)
    assert content.detail.count("Field required") == 5
    assert "more)" in content.detail


def test_a_drift_needs_no_type_and_a_tick_does():
    untyped = orjson.loads(drift().to_json())
    del untyped["type"]
    assert isinstance(decode(DRIFTS, orjson.dumps(untyped)), Drift)
    assert isinstance(decode(DRIFTS, b'{"type": "tick", "partition": 0}'), Tick)


def test_fields_of_a_newer_writer_are_ignored():
    newer = orjson.loads(command("silence", None).to_json()) | {"mood": "calm"}
    assert decode(COMMANDS, orjson.dumps(newer)) == command("silence", None)


def test_a_topic_that_correlate_does_not_read_is_wrong_use():
    with pytest.raises(ValueError, match=RECORDS):
        decode(RECORDS, b"{}")


SERIES = {"begins_at": "2026-11-24T03:00:00Z", "records": [10, 10], "means": [0.1, 0.1]}


@pytest.mark.parametrize(
    "series",
    [
        [SERIES | {"means": [0.1]}],
        [SERIES | {"values": [1.0]}],
        [SERIES | {"records": [10, -10]}],
        [SERIES | {"means": [0.1, 1.5]}],
        [SERIES, SERIES | {"version": "prompt=v2", "records": [1], "means": [0.1]}],
        [SERIES, SERIES | {"version": "prompt=v2", "begins_at": "2026-11-24T03:01:00Z"}],
    ],
)
def test_a_drift_with_inconsistent_minutes_is_unreadable(series):
    assert isinstance(decode(DRIFTS, orjson.dumps(orjson.loads(drift().to_json()) | {"series": [SERIES]})), Drift)
    assert isinstance(decode(DRIFTS, orjson.dumps(orjson.loads(drift().to_json()) | {"series": series})), Unreadable)


def test_a_drift_detected_before_its_start_opens_an_incident():
    assert only(drift().model_copy(update={"started_at": START + MINUTE})).status == "open"
