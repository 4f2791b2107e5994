import base64
from dataclasses import replace

import orjson
import pytest

from pipeline.correlate.decode import Content, decode_message
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.decoding import Unreadable
from pipeline.step import RawMessage
from schemas.command import Command
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.message import AHEAD_MAX_MS
from schemas.tick import Tick
from schemas.timestamp import EARLIEST_MS, LATEST_MS
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
    started,
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


# times ahead of the arrival


AHEAD = START + 365 * 86_400_000


def arriving(contract, at=START, **changes):
    return replace(kafka([contract])[0], timestamp=at, **changes)


@pytest.mark.parametrize(
    ("contract", "field"),
    [
        (command("resolve", "inc-1", at=AHEAD), "at"),
        (command("resolve", "inc-1", at=START + AHEAD_MAX_MS + 1), "at"),
        (deployment(before_s=-400), "timestamp"),
        (deployment(before_s=-400, expect_shift=["length"]), "timestamp"),
        (tick(AHEAD), "watermark"),
        (tick(START, wall=AHEAD), "wall"),
        (drift(start=AHEAD), "detected_at"),
    ],
)
def test_a_time_ahead_of_the_arrival_is_a_dead_letter_and_moves_no_clock(contract, field):
    step = started(None, drift())
    list(step.changed())
    [letter] = dead_letters(step.step([arriving(contract)]))
    assert (letter.reason, letter.detail.split()[0]) == ("timestamp_out_of_range", field)
    assert list(step.changed()) == []


def test_a_replay_has_no_time_of_arrival():
    step = CorrelateStep(CorrelateSettings(), replay=True)
    assert (
        dead_letters(step.step([arriving(drift(), at=EARLIEST_MS), arriving(tick(AHEAD)), arriving(deployment())]))
        == []
    )


def test_a_time_a_little_ahead_and_a_message_without_a_time_of_arrival_are_used():
    step = started(None, drift())
    assert dead_letters(step.step([arriving(deployment(before_s=-299))])) == []
    assert dead_letters(step.step([arriving(tick(AHEAD), at=-1)])) == []


def test_a_silence_may_begin_later():
    [content] = decode_message(arriving(command("silence", None, at=AHEAD, until=AHEAD + 1, matchers=["subject=a"])))
    assert isinstance(content, Command)


@pytest.mark.parametrize(
    "contract",
    [tick(LATEST_MS), drift(start=LATEST_MS - 10_000), deployment().model_copy(update={"timestamp": LATEST_MS})],
)
def test_a_time_after_which_no_deadline_can_be_written_is_a_dead_letter(contract):
    step = CorrelateStep(CorrelateSettings(), replay=True)
    [letter] = dead_letters(step.step([arriving(contract)]))
    assert letter.reason == "timestamp_out_of_range"


# lone surrogates and NaN


def test_a_lone_surrogate_is_replaced_and_the_message_is_used():
    sent = command("note", "inc-1", note="NOTE").to_json().replace(b"NOTE", b"cut \\ud83d")
    content = decode(COMMANDS, sent)
    assert isinstance(content, Command)
    assert content.note == "cut \ufffd"
    assert content.to_json()


def test_a_number_that_is_not_one_is_absent():
    sent = deployment().to_json().replace(b'"v41"', b"NaN")
    content = decode(DEPLOYMENTS, sent)
    assert isinstance(content, Deployment)
    assert content.from_version is None
