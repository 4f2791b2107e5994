"""A message to send, with its event time, which a replay can shift."""

from dataclasses import dataclass
from typing import Any

from pipeline.lenient_json import dump_json, parse_json
from schemas.timestamp import format_timestamp, parse_timestamp


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """Message to send.

    ``time_ms`` is the event time. A message that is not ``readable`` as a record gets the time of the previous message.
    ``time_zone`` is the time zone of times without an offset.
    """

    time_ms: int
    key: bytes | None
    value: bytes
    readable: bool = True
    time_zone: str | None = None

    def shift(self, by_ms: int) -> "OutgoingMessage":
        """Return the message with event times shifted by ``by_ms`` milliseconds. Unreadable messages stay unchanged."""
        if not by_ms or not self.readable:
            return self
        parsed: Any = parse_json(self.value)
        for record in parsed if isinstance(parsed, list) else [parsed]:
            try:
                time_ms = parse_timestamp(record["timestamp"], time_zone=self.time_zone)
                record["timestamp"] = format_timestamp(time_ms + by_ms)
            except (ValueError, KeyError, TypeError):
                continue
        return OutgoingMessage(self.time_ms + by_ms, self.key, dump_json(parsed))
