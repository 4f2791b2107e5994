"""The intake step: every object becomes a record or a dead letter, whatever a message contains."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.intake import IntakeSettings, IntakeStep, MappingSettings
from pipeline.lenient_json import parse_json
from pipeline.step import RawMessage
from schemas.record import Record
from schemas.topics import DEAD_LETTERS, RECORDS
from tests.hostile import kinds

AT = "2026-11-24T03:12:00.123Z"
AT_MS = 1_795_489_920_123
SETTINGS = {"map": ["usage.latency=latency_ms:s", "at=timestamp"], "subject": "{app}"}


def step(**changes):
    settings = IntakeSettings.model_validate({"topics": {"llm.requests": SETTINGS | changes}})
    return IntakeStep(settings.topics, len)


def run(*values, **changes):
    messages = [RawMessage("llm.requests", 3, 40 + n, AT_MS, b"key", value) for n, value in enumerate(values)]
    return step(**changes).step(messages)


def test_an_object_becomes_a_record_keyed_by_its_subject():
    (output,) = run(b'{"app": "shop", "at": "%s", "usage": {"latency": 0.5}, "prompt": "Hi"}' % AT.encode())
    assert (output.topic, output.key, output.partition) == (RECORDS, b"shop", 4)
    assert json.loads(output.value) == {"subject": "shop", "timestamp": AT, "infrastructure": {"latency_ms": 500.0}}
    assert Record.from_json(output.value).subject == "shop"


def test_an_array_becomes_a_record_or_dead_letter_per_element():
    good = {"app": "shop", "at": AT}
    outputs = run(json.dumps([good, 5, {"at": AT}, good | {"at": "yesterday"}, [good]]).encode())
    assert [output.topic for output in outputs] == [RECORDS] + [DEAD_LETTERS] * 4
    letters = [json.loads(output.value) for output in outputs[1:]]
    assert [(letter["index"], letter["reason"], letter["step"]) for letter in letters] == [
        (1, "not_an_object", "intake"),
        (2, "subject_missing", "intake"),
        (3, "timestamp_invalid", "intake"),
        (4, "array_in_array", "intake"),
    ]


@pytest.mark.parametrize("value", [b'{"prompt": "Hello"}', b'[{"prompt": "Hello"}, "Hello"]', b"Hello", b'"Hello"'])
def test_a_dead_letter_copies_nothing_of_a_message_of_another_service(value):
    for output in run(value):
        assert output.topic == DEAD_LETTERS
        letter = json.loads(output.value)
        assert (letter["topic"], letter["partition"], letter["offset"]) == ("llm.requests", 3, 40)
        assert letter.keys().isdisjoint({"key_base64", "value_base64", "value_sha256"})
        assert b"Hello" not in output.value


def test_a_message_with_an_unusable_number_is_used():
    (output,) = run(b'{"app": "shop", "at": "%s", "usage": {"latency": NaN}}' % AT.encode())
    assert json.loads(output.value)["infrastructure"] == {"latency_ms": {}}


def test_the_time_of_a_message_is_used_only_if_the_mapping_says_so():
    value = b'{"app": "shop"}'
    assert json.loads(run(value)[0].value)["reason"] == "timestamp_missing"
    (output,) = run(value, map=[], message_time=True)
    assert json.loads(output.value)["timestamp"] == AT
    message = RawMessage("llm.requests", 0, 0, -1, None, value)
    (output,) = step(map=[], message_time=True).step([message])
    assert json.loads(output.value)["reason"] == "timestamp_missing"


def test_a_sampled_source_is_declared_in_each_record():
    (output,) = run(b'{"app": "shop", "at": "%s", "sampled": "head"}' % AT.encode(), sampled="tail")
    assert json.loads(output.value)["sampled"] == "tail"


@pytest.mark.parametrize("kind", kinds(AT_MS), ids=lambda kind: kind.name)
def test_hostile_messages_are_dead_letters_or_records(kind):
    outputs = run(kind.value, map=[], subject="")
    assert {output.topic for output in outputs} <= {RECORDS, DEAD_LETTERS}
    assert all(len(output.value) < 16 * 2**20 for output in outputs)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([AT, "shop", AT_MS, -1]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["app", "at", "usage", "latency", "subject", "custom", "error"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.lists(JSON.map(lambda content: json.dumps(content).encode()) | st.binary(max_size=50) | st.none(), max_size=5)
)
def test_every_element_is_accounted_for(values):
    outputs = run(*values)
    expected = 0
    for value in values:
        try:
            content = None if value is None else parse_json(value)
        except ValueError:
            content = None
        expected += len(content) if isinstance(content, list) else 1
    assert len(outputs) == expected
    assert all(output.topic in (RECORDS, DEAD_LETTERS) for output in outputs)


@pytest.mark.parametrize(
    ("topics", "parts"),
    [
        ({"driftwire.records": {}}, ['"driftwire.records"', "belongs to driftwire"]),
        ({"a topic": {}}, ['"a topic"', "letters"]),
        ({"..": {}}, ['".."']),
        ({"a": {"message_time": True, "map": ["at=timestamp"]}}, ['map "at=timestamp"', "message_time"]),
        ({"a": {"sampled": "head"}}, ["tail"]),
        ({"a": {"maps": []}}, ["maps"]),
    ],
)
def test_wrong_settings_are_named(topics, parts):
    with pytest.raises(ValidationError) as caught:
        IntakeSettings.model_validate({"topics": topics})
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_mapping_without_a_time_zone_gets_that_of_detect():
    settings = IntakeSettings.model_validate({"topics": {"a": {}, "b": {"time_zone": "Europe/Berlin"}}})
    assert settings.mapping("a", "Australia/Sydney").time_zone == "Australia/Sydney"
    assert settings.mapping("b", "Australia/Sydney").time_zone == "Europe/Berlin"
    assert isinstance(settings.mapping("a", ""), MappingSettings)
