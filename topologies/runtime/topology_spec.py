"""The topology of a step: its topics, and how its step is built."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.step import OutputMessage, Step


@dataclass(frozen=True, slots=True)
class TopologySpec:
    """Everything that differs between the topologies of the steps.

    Attributes
    ----------
    name
        Name of the step: detect, correlate or route.
    topics
        Input topics. All have the same number of partitions.
    make_step
        Builds the step of a partition, without state.
    control_topic
        Topic that every worker reads in full, or None.
    deliver
        Sends what must leave Kafka before a checkpoint, and returns the outputs that record it.
    """

    name: str
    topics: tuple[str, ...]
    make_step: Callable[[int], Step]
    control_topic: str | None = None
    deliver: Callable[[Step], Awaitable[list[OutputMessage]]] | None = None
