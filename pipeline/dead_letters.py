"""How every step sets a message aside: whole, with the reason, under an id that a repetition has too."""

from base64 import b64encode
from hashlib import blake2b
from typing import Literal, cast

from pydantic import ValidationError

from pipeline.step import Input, Output
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.timestamp import LATEST_MS, SECONDS_BY_MISTAKE_BELOW
from schemas.topics import DEAD_LETTERS

DETAIL_LENGTH_MAX = 500
"""Characters of a detail; the rest of a longer one is cut."""


def dead_letter(
    step: str,
    message: Input,
    reason: DeadLetterReason,
    detail: str,
    *,
    index: int | None = None,
    value: bytes | None = None,
    about: str = "",
) -> Output:
    """A dead letter for a message, or for one element of an array in it.

    Parameters
    ----------
    step
        The step that could not use it.
    message
        The message as it came.
    reason, detail
        The reason for programs, and the same for a person. No text of a record's own goes into it.
    index, value
        Of an element of an array: its place, and its JSON.
    about
        Which of several failures with one whole message, where there can be several: the receiver that refused it.
    """
    place = f"{message.topic}/{message.partition}/{message.offset}/{about if index is None else index}"
    identity = blake2b(place.encode(), digest_size=12).hexdigest()
    content = message.value if index is None else value
    letter = DeadLetter(
        dead_letter_id=identity,
        step=cast(Literal["detect", "correlate", "route"], step),
        reason=reason,
        detail=detail[:DETAIL_LENGTH_MAX],
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        index=index,
        appended_at=message.timestamp if SECONDS_BY_MISTAKE_BELOW <= message.timestamp <= LATEST_MS else None,
        key_base64=None if message.key is None else b64encode(message.key).decode(),
        value_base64=None if content is None else b64encode(content).decode(),
    )
    return Output(DEAD_LETTERS, identity.encode(), letter.to_json())


def one_line(problem: Exception) -> str:
    """Return an error as one line. Of a validation error it names the first field, without the field's value."""
    if isinstance(problem, ValidationError):
        first = problem.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the message'}: {first['msg']}"
    return " ".join(str(problem).split())
