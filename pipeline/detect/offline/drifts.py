"""Extract the drifts from the messages that the detect step wrote."""

from collections.abc import Iterable

from pipeline.step import InputMessage, OutputMessage
from schemas.drift import Drift
from schemas.topics import DRIFTS


def read_drifts(messages: Iterable[InputMessage | OutputMessage]) -> list[Drift]:
    """Return the drifts in a sequence of messages, in order. Ticks and messages of other topics are skipped."""
    values = (message.value for message in messages if message.topic == DRIFTS)
    return [Drift.from_json(value) for value in values if value is not None and b'"type":"drift"' in value]
