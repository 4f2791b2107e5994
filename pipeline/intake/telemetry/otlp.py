"""The neutral form of spans and log records, which both encodings of the OpenTelemetry protocol are decoded to."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.intake.telemetry.conventions import FIRST_TOKEN_EVENTS
from schemas.dead_letter import DeadLetterReason
from schemas.record import ELEMENTS_MAX

LEVELS_MAX = 32
"""Maximum nesting of the value of an attribute. A deeper value is absent."""

EVALUATION_EVENT = "gen_ai.evaluation.result"
EXCEPTION_EVENT = "exception"
CHOICE_EVENT = "gen_ai.choice"
DETAILS_EVENT = "gen_ai.client.inference.operation.details"

TOKEN_EVENTS = frozenset(event.name for event in FIRST_TOKEN_EVENTS)
"""Names of the events of a span of which only the first is read. A stream can have hundreds."""

SPAN_EVENTS = frozenset((EVALUATION_EVENT, EXCEPTION_EVENT)) | TOKEN_EVENTS
"""Names of the events of a span that are read."""

LOG_EVENTS = frozenset((EVALUATION_EVENT, CHOICE_EVENT, DETAILS_EVENT))
"""Names of the log records that are read."""


@dataclass(slots=True)
class TelemetryEvent:
    """An event of a span."""

    name: str
    attributes: dict[str, Any]
    time_ns: int


@dataclass(slots=True)
class TelemetryItem:
    """A span or a log record.

    Attributes
    ----------
    resource, attributes
        Attributes by name, as JSON values: those of the resource, and its own.
    trace_id, span_id, parent_id
        Ids in hexadecimal and lower case; empty if absent or invalid. The span id of a log record is that of the span
        in which it was written.
    start_ns, end_ns
        Unix time in nanoseconds; 0 if absent. A log record has only an end.
    is_error, is_ok
        Whether the status of the span is an error, and whether it is OK. Most SDKs leave it unset if nothing failed.
    trace_state
        The W3C trace state.
    events, dropped_events
        The events of a span that are read, and the number of events that the SDK dropped.
    name, body
        Name and body of a log record that is an event. A span has neither.
    """

    resource: dict[str, Any]
    attributes: dict[str, Any]
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    start_ns: int = 0
    end_ns: int = 0
    is_error: bool = False
    is_ok: bool = False
    trace_state: str = ""
    events: list[TelemetryEvent] = field(default_factory=list)
    dropped_events: int = 0
    name: str = ""
    body: Any = None


@dataclass(frozen=True, slots=True)
class AttributeSelection:
    """The attributes that are decoded. All others stay encoded, such as prompts.

    Attributes
    ----------
    names, prefixes
        Names of the attributes, and beginnings of names. All attributes are decoded if ``names`` is None.
    """

    names: frozenset[str] | None
    prefixes: tuple[str, ...] = ()

    def contains(self, name: str) -> bool:
        """Return whether the attribute is decoded."""
        return self.names is None or name in self.names or name.startswith(self.prefixes)


class UnreadableExportError(ValueError):
    """A message is not an export request. The text describes why, without text of the message."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def check_count(count: int, what: str) -> None:
    """Raise :class:`UnreadableExportError` if a message has too many spans or log records."""
    if count > ELEMENTS_MAX:
        raise UnreadableExportError(
            "too_large", f"the message has {count} {what}: send at most {ELEMENTS_MAX} in one message"
        )
