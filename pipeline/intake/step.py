"""The intake step: messages of other services become records, which are keyed by their subject."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.dead_letters import VALUE_BYTES_MAX, dead_letter
from pipeline.intake.mapping import FieldMapping, MappedRecord
from pipeline.intake.settings import TopicSettings
from pipeline.intake.telemetry import TelemetryMapping
from pipeline.json_elements import read_elements
from pipeline.lenient_json import dump_json
from pipeline.step import InputMessage, Measurement, OutputMessage
from schemas.timestamp import EARLIEST_MS, LATEST_MS
from schemas.topics import RECORDS


class IntakeStep:
    """The step for one partition of all input topics. It has no state.

    Every object becomes a record or a dead letter. A span or log record may also be nothing to read.

    Parameters
    ----------
    topics
        Settings of each input topic.
    partition_of
        Function that returns the partition of ``driftwire.records`` for a key. Equal keys always get the same partition.
    """

    def __init__(self, topics: Mapping[str, TopicSettings], partition_of: Callable[[bytes], int]) -> None:
        self._topics = {
            name: TopicMapping(settings) if settings.format == "json" else TelemetryMapping(settings)
            for name, settings in topics.items()
        }
        self._partition_of = partition_of

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore nothing."""
        yield from (f"the part {key!r} of the state is discarded: intake has no state" for key, _ in parts)

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Map messages to records."""
        outputs: list[OutputMessage] = []
        for message in messages:
            mapping = self._topics[message.topic]
            if isinstance(mapping, TelemetryMapping):
                outputs += self._read_telemetry(mapping, message)
            else:
                outputs += self._read_objects(mapping, message)
        return outputs

    def control(self, message: InputMessage, *, is_covered: bool = False) -> list[OutputMessage]:  # noqa: ARG002  intake has no control topic
        """Ignore a control message."""
        return []

    def tick(self, wall_ms: int) -> list[OutputMessage]:  # noqa: ARG002  intake needs no clock
        """Ignore the wall-clock time."""
        return []

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield nothing."""
        return iter(())

    def measure(self) -> Iterator[Measurement]:
        """Yield nothing. The worker counts messages and dead letters."""
        return iter(())

    def mark_all(self) -> None:
        """Do nothing."""

    def on_gap(self) -> list[OutputMessage]:
        """Do nothing."""
        return []

    def _read_objects(self, mapping: "TopicMapping", message: InputMessage) -> Iterator[OutputMessage]:
        for element in read_elements(message.value, bytes_max=VALUE_BYTES_MAX):
            reason, detail = element.reason, element.detail
            if element.fields is not None:
                mapped = mapping.read(element.fields, message)
                if mapped.reason is None:
                    yield self._record(mapped.record)
                    continue
                reason, detail = mapped.reason, mapped.problem or ""
            yield dead_letter("intake", message, reason, detail, index=element.index)

    def _read_telemetry(self, mapping: TelemetryMapping, message: InputMessage) -> Iterator[OutputMessage]:
        for found in mapping.read(message.value, bytes_max=VALUE_BYTES_MAX):
            if found.record is not None:
                yield self._record(found.record)
            elif found.reason is not None:
                yield dead_letter("intake", message, found.reason, found.detail, index=found.index)

    def _record(self, record: dict[str, Any]) -> OutputMessage:
        key = record["subject"].encode()
        return OutputMessage(RECORDS, key, dump_json(record), self._partition_of(key))


class TopicMapping:
    """The mapping of the JSON messages of one topic."""

    def __init__(self, settings: TopicSettings) -> None:
        self.fields = FieldMapping(settings)
        self._sampled = settings.sampled
        self._uses_message_time = settings.message_time

    def read(self, fields: Mapping[str, object], message: InputMessage) -> MappedRecord:
        """Map one object of a message."""
        has_time = self._uses_message_time and EARLIEST_MS <= message.timestamp <= LATEST_MS
        mapped = self.fields.read(fields, default_time_ms=message.timestamp if has_time else None)
        if self._sampled:
            mapped.record["sampled"] = self._sampled
        return mapped
