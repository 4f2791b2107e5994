"""Specification of the topology of a step: topics, factory and delivery."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.step import OutputMessage, Step


async def _deliver_nothing(_: Step) -> list[OutputMessage]:
    return []


async def _finish_nothing(_: Step) -> None:
    pass


def _has_nothing(_: Step) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class TopologySpec:
    """The properties in which the topologies of the steps differ.

    Attributes
    ----------
    name
        Name of the step: intake, detect, correlate or route.
    topics
        Input topics. They may have different numbers of partitions.
    make_step
        Function that builds the step of a partition, without state.
    gap_effect
        End of a log line about lost messages: what the step does. Empty if it does nothing.
    control_topic
        Topic that every worker reads in full, or None if the step has no such topic.
    deliver
        Function that starts to send notifications before a checkpoint, and returns the outputs that record those that were
        sent or failed.
    finish_deliveries
        Function that starts no further deliveries for a step that closes, and waits for those in flight.
    has_deliveries
        Function that returns whether there is work for :attr:`deliver`.
    """

    name: str
    topics: tuple[str, ...]
    make_step: Callable[[int], Step]
    gap_effect: str = ""
    control_topic: str | None = None
    deliver: Callable[[Step], Awaitable[list[OutputMessage]]] = _deliver_nothing
    finish_deliveries: Callable[[Step], Awaitable[None]] = _finish_nothing
    has_deliveries: Callable[[Step], bool] = _has_nothing
