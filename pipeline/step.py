"""What every step is to the runtime that drives it: messages in, messages and changed state out, nothing else."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Input(Protocol):
    """A Kafka message as a step sees it. ``timestamp`` is when the broker or producer stamped it, Unix ms."""

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
    """An :class:`Input` made by hand: by tests and by tools that drive a step without Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Output:
    """One message that a step writes. ``partition`` is None where the topic has one partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class Step(Protocol):
    """One step over one input partition, with its state.

    The same inputs in the same order give the same outputs and the same state, wherever a batch happens to end. A
    message that cannot be used becomes an output to the dead letters; ``step`` never raises because of a message.
    """

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Take up the state that ``changed`` once gave out, and say in one line each what could not be taken up.

        Called once, before anything but ``control``.
        """
        ...

    def step(self, messages: Sequence[Input]) -> list[Output]:
        """Take messages of one input topic, in the order of their offsets."""
        ...

    def control(self, message: Input) -> list[Output]:
        """Take a message of a topic that every worker reads whole, such as a baseline."""
        ...

    def tick(self, wall_ms: int) -> list[Output]:
        """Be told the wall clock, about once a second. Never called in a replay."""
        ...

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The parts of the state that changed since the last call, by key; None for a part that is gone."""
        ...

    def on_gap(self) -> None:
        """Forget what must not span a hole: messages between the last and the next are lost for good."""
        ...
