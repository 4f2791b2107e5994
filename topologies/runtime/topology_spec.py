"""Specification of the topology of a step: topics, factory and delivery."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.step import OutputMessage, Step


@dataclass(frozen=True, slots=True)
class TopologySpec:
    """Differences between the topologies of the steps.

    Attributes
    ----------
    name
        Name of the step: detect, correlate or route.
    topics
        Input topics. All have the same number of partitions.
    make_step
        Function that builds the step of a partition, without state.
    control_topic
        Topic that every worker reads in full, or None if the step has no such topic.
    deliver
        Function that sends pending notifications before a checkpoint and returns the outputs that record them, or None.
    has_pending
        Function that returns whether notifications wait for :attr:`deliver`, or None. A tick can make some pending.
    """

    name: str
    topics: tuple[str, ...]
    make_step: Callable[[int], Step]
    control_topic: str | None = None
    deliver: Callable[[Step], Awaitable[list[OutputMessage]]] | None = None
    has_pending: Callable[[Step], bool] | None = None
