"""Decode Kafka messages into contract messages, or into the reason why they cannot be used."""

from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from pipeline.wording import one_line
from schemas.command import Command
from schemas.dead_letter import DeadLetterReason
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.message import Message
from schemas.tick import Tick
from schemas.topics import COMMANDS, DEPLOYMENTS, DRIFTS

MESSAGE_BYTES_MAX = 65_536
"""Maximum size of a drift, tick, deployment or command, in bytes. Real messages are a few hundred bytes long."""

INTEGER_MAX = 2**63 - 1
"""Largest integer that a checkpoint can store. Integers in real messages are far smaller."""

Contract = TypeVar("Contract", bound=Message)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reason why a message cannot be used."""

    reason: DeadLetterReason
    detail: str


def decode_message(topic: str, value: bytes | None) -> Drift | Tick | Deployment | Command | Unreadable:
    """Decode the value of a message.

    Raises
    ------
    ValueError
        If correlate does not read that topic.
    """
    if topic not in (DRIFTS, DEPLOYMENTS, COMMANDS):
        raise ValueError(f"correlate does not read the topic {topic}; it reads {DRIFTS}, {DEPLOYMENTS} and {COMMANDS}")
    if value is None:
        return Unreadable("tombstone", f"a message on {topic} has no value (a tombstone)")
    if len(value) > MESSAGE_BYTES_MAX:
        return Unreadable("too_large", f"{len(value):,} bytes; the limit on {topic} is {MESSAGE_BYTES_MAX:,} bytes")
    content = _decode_object(topic, value)
    if isinstance(content, Unreadable):
        return content
    if topic == DEPLOYMENTS:
        return _validate(Deployment, value)
    if topic == COMMANDS:
        return _validate(Command, value)
    match content.get("type", "drift"):
        case "drift":
            return _validate(Drift, value)
        case "tick":
            return _validate(Tick, value)
        case _:
            return Unreadable("contract", f'the "type" of a message on {topic} must be drift or tick')


def _decode_object(topic: str, value: bytes) -> dict[str, Any] | Unreadable:
    if not value.strip():
        return Unreadable("empty", f"a message on {topic} is empty")
    try:
        value.decode()
        content = orjson.loads(value)
    except UnicodeDecodeError as problem:
        return Unreadable("not_utf8", f"not UTF-8: {problem.reason} at byte {problem.start}")
    except orjson.JSONDecodeError as problem:
        return Unreadable("not_json", f"not JSON: {problem}")
    if not isinstance(content, dict):
        type_name = type(content).__name__
        return Unreadable("not_an_object", f"a message on {topic} must be a JSON object, but this is a {type_name}")
    return content


def _validate(contract: type[Contract], value: bytes) -> Contract | Unreadable:
    name = contract.__name__.lower()
    try:
        content = contract.from_json(value)
    except ValidationError as problem:
        return Unreadable("contract", f"not a {name}: {one_line(problem)}")
    too_large = [field for field, number in content if isinstance(number, int) and abs(number) > INTEGER_MAX]
    if too_large:
        return Unreadable("contract", f"not a valid {name}: the integer {too_large[0]} is too large")
    return content
