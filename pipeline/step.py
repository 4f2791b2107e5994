"""The protocol of a step, as the runtime drives it: messages in, messages and changed state out.

A checkpoint is written from :meth:`Step.changed` and read by :meth:`Step.restore`. All three steps implement both with
:class:`pipeline.state.PartStore`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class InputMessage(Protocol):
    """A Kafka message that a step reads. ``timestamp`` is set by the broker or the producer, in Unix ms."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class RawMessage:
    """An :class:`Input` built without Kafka, for tests and for tools that drive a step themselves."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class OutputMessage:
    """A message that a step writes. ``partition`` is None for a topic with one partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class Step(Protocol):
    """One step over one input partition, with its state.

    The same inputs in the same order give the same outputs and the same state, wherever a batch ends. A message that
    cannot be used becomes a dead letter; :meth:`step` never raises because of a message.
    """

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore the state that :meth:`changed` yielded, and yield a warning for each part that is discarded.

        Called once, before any other method except :meth:`control`.
        """
        ...

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Process messages of one input topic, in the order of their offsets."""
        ...

    def control(self, message: InputMessage) -> list[OutputMessage]:
        """Process a message of a topic that every worker reads in full, such as a baseline."""
        ...

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        """Process the wall-clock time, Unix ms. Called about once a second, and never in a replay."""
        ...

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the parts of the state that changed since the last call, by key. None removes a part."""
        ...

    def on_gap(self) -> None:
        """Reset the evidence that would span a gap: messages before the next one are lost for good."""
        ...
