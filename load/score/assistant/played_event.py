"""An event in the life of the assistant: the messages that the step receives before, during and after it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from load.score.assistant.assistant_lines import EMBEDDING_SIZE, draw_embeddings, write_lines
from load.score.assistant.assistant_world import Assistant
from load.score.assistant.changes import apply_changes
from load.score.assistant.events import Change, Disturbances, Stage, Where
from load.score.assistant.transit import Timed, create_probes, disturb, insert_messages, order_arrivals
from load.world import RecordColumns

EVERYWHERE, HEALTHY_TRANSIT = Where(), Disturbances()


@dataclass(frozen=True, slots=True)
class PlayedEvent:
    """An event at a time of one assistant. Without stages, changes and disturbances, the assistant is healthy.

    Attributes
    ----------
    event_ms
        Start of the event, Unix milliseconds.
    """

    name: str
    event_ms: int
    stages: tuple[Stage, ...] = ()
    where: Where = EVERYWHERE
    changes: tuple[Change, ...] = ()
    messages: Disturbances = HEALTHY_TRANSIT

    def generate(self, assistant: Assistant, subject: str, start_ms: int, end_ms: int) -> Iterator[list[bytes]]:
        """Yield the messages from ``start_ms`` up to ``end_ms`` in order of arrival, for at most an hour at a time."""
        return order_arrivals(self._generate_periods(assistant, subject, start_ms, end_ms))

    def _generate_periods(
        self, assistant: Assistant, subject: str, start_ms: int, end_ms: int
    ) -> Iterator[tuple[int, list[Timed]]]:
        before_ms = start_ms
        for period_end_ms, columns in assistant.draw_periods(start_ms, end_ms, self.stages, self.event_ms):
            # The name is part of the seed, so events do not share their random numbers.
            random = np.random.default_rng((assistant.seed, columns.first_index, *self.name.encode()))
            changed = apply_changes(columns, self.where, self.changes, self.event_ms, random)
            records = list(zip(changed.times_ms.tolist(), self._write(changed, subject, assistant.seed), strict=True))
            if self.messages is not HEALTHY_TRANSIT:
                records = disturb(records, self.messages, self.event_ms, random)
            if not assistant.office:
                records += create_probes(subject, before_ms, period_end_ms, self.messages, self.event_ms)
            if before_ms <= self.event_ms < period_end_ms:
                records += insert_messages(self.messages, subject, self.event_ms, random)
            yield period_end_ms, records
            before_ms = period_end_ms

    def _write(self, columns: RecordColumns, subject: str, seed: int) -> list[bytes]:
        size, direction = EMBEDDING_SIZE, 0
        if columns.times_ms.size and columns.times_ms[0] >= self.event_ms:
            size *= 2 if self.messages.long_embedding else 1
            direction = int(self.messages.other_embedding)
        return write_lines(columns, subject, draw_embeddings(columns, seed, size, direction=direction))
