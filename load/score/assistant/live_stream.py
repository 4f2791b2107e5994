"""The assistant's stream in the detect step, learned live from nothing, and the checkpoints from which events are played."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from load.errors import LoadError
from load.score.assistant.assistant_world import Assistant
from load.score.assistant.played_event import PlayedEvent
from pipeline.detect.monitor import Monitor
from pipeline.detect.offline import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage, RawMessage
from schemas.drift import Drift
from schemas.timestamp import parse_timestamp
from schemas.topics import BASELINES, DAY_MS, DEAD_LETTERS, RECORDS

SUBJECT = "support-assistant"

MONDAY_MS = parse_timestamp("2026-11-02T09:00:00Z")
"""Time at which the first record of a stream that starts on a Monday is sent, in Unix milliseconds."""

BATCH_MESSAGES = 500
"""Messages per batch. Playback can end after every batch."""

OFFICE_REQUESTS = 0.25
"""Requests per second of the office variant, relative to the other."""


@dataclass(slots=True)
class Checkpoint:
    """State of the step at a time: its parts, the published baselines by key, and the drifts that have fired so far."""

    time_ms: int
    offset: int = 0
    parts: dict[bytes, bytes] = field(default_factory=dict)
    baselines: dict[bytes | None, bytes] = field(default_factory=dict)
    fired: list[Drift] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A healthy stream that is learned live. Equal sources have equal checkpoints.

    Attributes
    ----------
    seed
        Seed of the assistant.
    days
        Number of days from the first record to the checkpoint.
    per_second
        Mean requests per second of a weekday.
    office
        Whether only an office uses the assistant. It has a quarter of the requests.
    first_day
        Day of the first record: 0 is a Monday, and 6 a Sunday.
    """

    seed: int
    days: int
    per_second: float = 2.0
    office: bool = False
    first_day: int = 0

    @property
    def assistant(self) -> Assistant:
        """The assistant whose records are learned."""
        per_second = self.per_second * (OFFICE_REQUESTS if self.office else 1.0)
        return Assistant(self.seed, per_second, self.office)

    @property
    def start_ms(self) -> int:
        """Unix milliseconds of the first record."""
        return MONDAY_MS + self.first_day * DAY_MS

    @property
    def end_ms(self) -> int:
        """Unix milliseconds of the checkpoint."""
        return self.start_ms + self.days * DAY_MS

    def learn(self, settings: DetectSettings) -> Checkpoint:
        """Play the healthy days, and return the checkpoint at their end."""
        return _learn(self, settings)


class LiveStream:
    """A detect step that continues from a copy of a checkpoint.

    Raises
    ------
    LoadError
        If the step discards a part of the checkpoint, which is a bug.
    """

    def __init__(self, source: LiveSource, checkpoint: Checkpoint, settings: DetectSettings) -> None:
        self._source, self._settings = source, settings
        self._time_ms, self._offset = checkpoint.time_ms, checkpoint.offset
        self._baselines = dict(checkpoint.baselines)
        self._parts = dict(checkpoint.parts)
        self._fired = list(checkpoint.fired)
        self.step = DetectStep(0, settings, replay=True)
        self.dead_letters = 0
        for number, (key, value) in enumerate(self._baselines.items()):
            self.step.control(RawMessage(BASELINES, 0, number, 0, key, value), is_covered=True)
        problems = list(self.step.restore(checkpoint.parts.items()))
        if problems:
            raise LoadError(f"a checkpoint of the score was not restored: {problems}")

    @property
    def watermark_ms(self) -> int:
        """Time of the newest record in Unix milliseconds."""
        return max((stream.watermark for stream in self.step.streams.values()), default=0)

    @property
    def monitor(self) -> Monitor | None:
        """The monitor with the baseline in use, or None while the first baseline is learned."""
        return next((stream.monitor for stream in self.step.streams.values()), None)

    def copy(self) -> "LiveStream":
        """Return a stream that continues from the state of this one. Call it after :meth:`play` has ended."""
        return LiveStream(self._source, self.checkpoint(), self._settings)

    def stop_renewals(self) -> None:
        """Use the baseline without daily renewals from now on."""
        for stream in self.step.streams.values():
            stream.history.is_paused = True

    def play(self, event: PlayedEvent, end_ms: int) -> Iterator[list[Drift]]:
        """Play an event up to ``end_ms`` (Unix ms), and yield the drifts that fired after every batch of messages."""
        for messages in event.generate(self._source.assistant, SUBJECT, self._time_ms, end_ms):
            for start in range(0, len(messages), BATCH_MESSAGES):
                batch = messages[start : start + BATCH_MESSAGES]
                inputs = [RawMessage(RECORDS, 0, self._offset + row, 0, None, line) for row, line in enumerate(batch)]
                self._offset += len(batch)
                yield self._read(self.step.step(inputs))
        self._time_ms = end_ms

    def checkpoint(self) -> Checkpoint:
        """Write the state as the runtime does. Call it after :meth:`play` has ended."""
        for key, value in self.step.changed():
            if value is None:
                self._parts.pop(key, None)
            else:
                self._parts[key] = value
        return Checkpoint(self._time_ms, self._offset, self._parts, self._baselines, self._fired)

    def _read(self, outputs: list[OutputMessage]) -> list[Drift]:
        for output in outputs:
            if output.topic == BASELINES and output.value is not None:
                self._baselines[output.key] = output.value
            self.dead_letters += output.topic == DEAD_LETTERS
        fired = [drift for drift in read_drifts(outputs) if drift.state == "firing"]
        self._fired += fired
        return fired


@lru_cache(maxsize=16)
def _learn(source: LiveSource, settings: DetectSettings) -> Checkpoint:
    """Learn day by day, so sources of one seed share the days that they have in common."""
    if not source.days:
        return Checkpoint(source.start_ms)
    shared = LiveSource(source.seed, source.days - 1, source.per_second, source.office, source.first_day)
    stream = LiveStream(source, _learn(shared, settings), settings)
    for _ in stream.play(PlayedEvent("healthy", source.end_ms), source.end_ms):
        pass
    return stream.checkpoint()
