"""Reading: a Kafka message as the message of the contract that it is, or the reason why it is none."""

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
"""Bytes of a drift, tick, deployment or command; a real one has a few hundred."""

INTEGER_MAX = 2**63 - 1
"""The largest integer that a checkpoint can hold; no real number of a message comes near it."""

Contract = TypeVar("Contract", bound=Message)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a message cannot be used."""

    reason: DeadLetterReason
    detail: str


def decode_message(topic: str, value: bytes | None) -> Drift | Tick | Deployment | Command | Unreadable:
    """The message in some bytes of a topic.

    Raises
    ------
    ValueError
        Wrong use: if correlate does not read that topic.
    """
    if topic not in (DRIFTS, DEPLOYMENTS, COMMANDS):
        raise ValueError(f"correlate does not read the topic {topic}: it reads {DRIFTS}, {DEPLOYMENTS} and {COMMANDS}")
    if value is None:
        return Unreadable("tombstone", f"a tombstone on {topic}: there is no message to read")
    if len(value) > MESSAGE_BYTES_MAX:
        return Unreadable("too_large", f"{len(value):,} bytes; a message on {topic} has {MESSAGE_BYTES_MAX:,} at most")
    content = _object(topic, value)
    if isinstance(content, Unreadable):
        return content
    if topic == DEPLOYMENTS:
        return _fit(Deployment, value)
    if topic == COMMANDS:
        return _fit(Command, value)
    match content.get("type", "drift"):
        case "drift":
            return _fit(Drift, value)
        case "tick":
            return _fit(Tick, value)
        case _:
            return Unreadable("contract", f'a message on {topic} has "type" drift or tick')


def _object(topic: str, value: bytes) -> dict[str, Any] | Unreadable:
    if not value.strip():
        return Unreadable("empty", f"an empty message on {topic}")
    try:
        value.decode()
        content = orjson.loads(value)
    except UnicodeDecodeError as problem:
        return Unreadable("not_utf8", f"not UTF-8: {problem.reason} at byte {problem.start}")
    except orjson.JSONDecodeError as problem:
        return Unreadable("not_json", f"not JSON: {problem}")
    if not isinstance(content, dict):
        return Unreadable("not_an_object", f"a message on {topic} is a JSON object, this is a {type(content).__name__}")
    return content


def _fit(contract: type[Contract], value: bytes) -> Contract | Unreadable:
    name = contract.__name__.lower()
    try:
        content = contract.from_json(value)
    except ValidationError as problem:
        return Unreadable("contract", f"not a {name}: {one_line(problem)}")
    too_large = [field for field, each in content if isinstance(each, int) and abs(each) > INTEGER_MAX]
    if too_large:
        return Unreadable("contract", f"not a {name}: {too_large[0]} is too large an integer")
    return content
