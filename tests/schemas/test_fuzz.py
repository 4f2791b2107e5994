"""Every message either violates its contract or can be written, read again and stored."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.codec import decode, encode
from pipeline.decoding import Unreadable, decode_contract
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.export import MESSAGES
from tests.mutations import fuzz_settings, messages
from tests.pipeline.detect.test_step import BASELINE
from tests.schemas.test_examples import FILES, contents

NAMES = sorted(set(MESSAGES) - {"record", "dead_letter", "checkpoint"})


def examples(name):
    if MESSAGES[name] is Baseline:
        return [json.loads(BASELINE.to_json())]
    return [content for file in FILES if file.parent.name == name for content in contents(file)]


def read(name, value):
    if name == "deployment":
        return decode_contract(value, Deployment.read, name, bytes_max=10**9)
    decoded = decode_contract(value, MESSAGES[name].model_validate, name, bytes_max=10**9)
    return decoded if isinstance(decoded, Unreadable) else [decoded]


@pytest.mark.parametrize("name", NAMES)
@fuzz_settings
@given(data=st.data())
def test_a_message_is_refused_or_can_be_written_read_and_stored(name, data):
    decoded = read(name, data.draw(messages(examples(name))))
    if isinstance(decoded, Unreadable):
        assert decoded.detail
        return
    for message in decoded:
        assert MESSAGES[name].from_json(message.to_json()) == message
        state = message.model_dump(exclude_none=True)
        restored = decode(encode(state, kind="k"), kind="k")
        assert MESSAGES[name].model_validate(restored) == message


@pytest.mark.parametrize("name", NAMES)
@fuzz_settings
@given(data=st.data())
def test_reading_the_bytes_with_a_contract_raises_nothing_but_a_violation(name, data):
    value = data.draw(messages(examples(name)))
    try:
        message = MESSAGES[name].from_json(value)
    except ValidationError:
        return
    assert message.to_json()


def test_the_folder_of_examples_is_found():
    assert Path(FILES[0]).exists()
    assert all(examples(name) for name in NAMES)
