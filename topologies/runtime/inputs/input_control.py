"""Control of the consumer: which input partitions are assigned and fetched, and from which offsets."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.types import TP

from pipeline.step import Measurement


class InputControl:
    """The input partitions of a worker.

    Parameters
    ----------
    app
        The Faust application, whose consumer is controlled.
    topics
        Input topics of the step.
    """

    def __init__(self, app: faust.App, topics: Collection[str]) -> None:
        self._app = app
        self._topics = topics
        self._assigned = set[TP]()
        self._paused = set[TP]()
        """Input partitions that are not fetched until their worker can use messages again."""

    def assign(self, sources: Collection[TP]) -> set[int]:
        """Replace the assignment, and return the numbers of its partitions."""
        self._assigned = {source for source in sources if source.topic in self._topics}
        return {source.partition for source in self._assigned}

    def revoke(self, sources: Collection[TP]) -> set[int]:
        """Remove partitions from the assignment, and return their numbers."""
        revoked = {source for source in sources if source.topic in self._topics}
        self._assigned -= revoked
        return {source.partition for source in revoked}

    def find(self, partition: int) -> set[TP]:
        """Return the assigned inputs with a partition number."""
        return {source for source in self._assigned if source.partition == partition}

    def pause(self, partition: int) -> None:
        """Stop fetching the inputs of a partition while other partitions of this worker continue."""
        sources = self.find(partition)
        self._paused |= sources
        self._app.consumer.pause_partitions(sources)

    async def resume(self, partition: int, next_offset: Callable[[str], int]) -> None:
        """Resume fetching the inputs of a partition at the next offset of each topic."""
        sources = self.find(partition) & self._paused
        await self.seek(partition, {source.topic for source in sources}, next_offset)
        self._paused -= sources
        self._app.consumer.resume_partitions(sources)

    async def seek(self, partition: int, topics: Collection[str], next_offset: Callable[[str], int]) -> None:
        """Continue reading input topics at their next offsets. Only the consumer's own thread may seek."""
        inputs = [source for source in self.find(partition) if source.topic in topics]
        with contextlib.suppress(IllegalStateError, TimeoutError):  # the partition is being revoked
            await self._app.consumer.seek_wait(
                {TopicPartition(*source): next_offset(source.topic) for source in inputs}
            )

    def measure_lag(self, partition: int, next_offset: Callable[[str], int]) -> Iterator[Measurement]:
        """Yield how many offsets of each input have not been used, up to the end of its log as of the last fetch."""
        for source in self.find(partition):
            state = self._partition_state(source)
            if state is None or state.highwater is None:  # nothing is fetched yet, or the partition was revoked
                continue
            position, after_last = getattr(state, "read_to", (-1, -1))
            used = next_offset(source.topic)
            if used == after_last:  # behind the last message, there may be markers of transactions
                used = position
            yield Measurement("driftwire_lag_messages", max(0, state.highwater - used), (source.topic, str(partition)))

    def _partition_state(self, source: TP) -> Any:
        consumer: Any = self._app.consumer  # that of faust_transport
        return consumer.partition_state(source)
