from base64 import b64decode
from hashlib import sha256

import pytest

from pipeline.dead_letters import START_BYTES, VALUE_BYTES_MAX, dead_letter
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS, RECORDS, topic


def letter_of(*, key: bytes | None = None, value: bytes, index: int | None = None) -> tuple[DeadLetter, int]:
    message = RawMessage(RECORDS, 0, 7, 0, key, value)
    output = dead_letter("detect", message, "too_large", "it is too large", index=index, value=value)
    return DeadLetter.from_json(output.value or b""), len(output.value or b"")


@pytest.mark.parametrize("index", [None, 3])
def test_a_dead_letter_fits_into_its_topic_whatever_the_message(index):
    letter, size = letter_of(key=b"k" * 9_000_000, value=b"x" * 70_000_000, index=index)
    assert size < 250_000
    assert letter.value_base64 is not None
    assert letter.key_base64 is not None
    assert b64decode(letter.value_base64) == b"x" * START_BYTES
    assert b64decode(letter.key_base64) == b"k" * START_BYTES
    assert (letter.value_bytes, letter.value_sha256) == (70_000_000, sha256(b"x" * 70_000_000).hexdigest())


def test_the_largest_message_of_a_topic_is_kept_whole():
    letter, size = letter_of(value=b"x" * VALUE_BYTES_MAX)
    assert size < topic(DEAD_LETTERS).message_bytes_max
    assert b64decode(letter.value_base64 or "") == b"x" * VALUE_BYTES_MAX
    assert (letter.value_bytes, letter.value_sha256) == (None, None)
