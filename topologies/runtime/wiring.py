"""The wiring of a step: what the runtime must know of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.step import Output, Step


@dataclass(frozen=True, slots=True)
class Wiring:
    """What differs between the steps.

    Attributes
    ----------
    name
        The step's name: detect, correlate or route.
    topics
        Its input topics; all have equally many partitions.
    make
        Makes the step of one partition, without state.
    control_topic
        A topic that every worker reads whole, or None.
    deliver
        What the world outside Kafka must see before a checkpoint; gives back the outputs that tell of it.
    """

    name: str
    topics: tuple[str, ...]
    make: Callable[[int], Step]
    control_topic: str | None = None
    deliver: Callable[[Step], Awaitable[list[Output]]] | None = None
