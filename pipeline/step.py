"""The protocol between the runtime and a step. A step reads messages, writes messages and yields its changed state.

:meth:`Step.changed` provides the content of a checkpoint, and :meth:`Step.restore` reads it. All three steps implement
both methods with :class:`pipeline.state.PartStore`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class InputMessage(Protocol):
    """A Kafka message that a step reads. The broker or the producer sets ``timestamp`` (Unix ms)."""

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
    """An :class:`InputMessage` that does not come from Kafka, for tests and for tools that call a step directly."""

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


class Measurement(NamedTuple):
    """A number that a step counts or holds, for the metrics of its worker.

    Attributes
    ----------
    metric
        Name of the metric.
    value
        The value. That of a counter never decreases while the step exists, except when a part of the state is dropped.
    labels
        Values of the labels that the step knows, in the order of the metric.
    """

    metric: str
    value: float
    labels: tuple[str, ...] = ()


class Step(Protocol):
    """Stateful step over one input partition.

    The same inputs in the same order give the same outputs and the same state, regardless of batch boundaries. A
    message that cannot be used becomes a dead letter. :meth:`step` never raises an error because of a message.
    """

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore the state that :meth:`changed` yielded, and yield a warning for each part that is discarded.

        The runtime calls this method once, before any other method except :meth:`control`.
        """
        ...

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Process messages of one input topic, in the order of their offsets."""
        ...

    def control(self, message: InputMessage, *, is_covered: bool = False) -> list[OutputMessage]:
        """Process a message of a topic that every worker reads in full, such as a baseline.

        ``is_covered`` means that the state to restore contains its effects, so its outputs are dropped.
        """
        ...

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        """Process the wall-clock time in Unix ms. The runtime calls this about once a second, but never in a replay."""
        ...

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the parts of the state that changed since the last call, by key. A value of None removes the part."""
        ...

    def measure(self) -> Iterator[Measurement]:
        """Yield what the step has counted and holds. The runtime calls this method when the metrics are read."""
        ...

    def mark_all(self) -> None:
        """Mark all parts of the state as changed, because the checkpoint topic was created again."""
        ...

    def on_gap(self) -> list[OutputMessage]:
        """Reset all evidence that spans a gap: earlier messages were lost or are in another partition."""
        ...
