"""What a partition reports to the metrics of its worker, and the log of violations of the order of messages."""

import logging
from collections.abc import Mapping, Sequence

from pipeline.step import Measurement, OutputMessage, Step
from topologies.metrics import OrderViolation, Totals, WorkerMetrics, count_outputs
from topologies.runtime.inputs import OrderSentinel

logger = logging.getLogger("driftwire")


class PartitionMetrics:
    """The reports of one partition during one assignment.

    Parameters
    ----------
    metrics
        The metrics of the worker.
    step_name, partition
        Name of the step, and the partition, for the log.

    Attributes
    ----------
    order
        The order sentinel of the partition.
    """

    def __init__(self, metrics: WorkerMetrics, step_name: str, partition: int) -> None:
        self._metrics = metrics
        self._step_name = step_name
        self._partition = partition
        self._measured: Totals = {}
        self.order = OrderSentinel(self._report_violation)

    def start(self, step: Step, offsets: Mapping[str, int]) -> None:
        """Start with a restored step and the last used offsets. What the step counted before is not counted again."""
        self._measured = {(name, labels): value for name, value, labels in step.measure()}
        self.order.start(offsets)

    def count_fetched(self, topic: str, begins_at: int, size_bytes: int) -> None:
        """Count fetched messages, and check that nothing is missing between the messages before and these."""
        self.order.check_start(topic, begins_at)
        self._metrics.count("driftwire_fetched_bytes_total", size_bytes, topic)

    def count_used(self, topic: str, first: int, last: int, count: int) -> None:
        """Count messages that the step is about to use: the first and the last offset, and their number."""
        self.order.use(topic, first, last, count)
        self._metrics.count("driftwire_messages_total", count, topic)

    def count_committed(self, outputs: Sequence[OutputMessage], state_bytes: int, offsets: Mapping[str, int]) -> None:
        """Count a committed transaction: its outputs, the bytes of the state, and the last used offsets."""
        self.order.commit(offsets)
        count_outputs(self._metrics, outputs)
        size_bytes = state_bytes + sum(len(output.value or b"") for output in outputs)
        self._metrics.count("driftwire_checkpoint_bytes_total", size_bytes)

    def time_checkpoint(self, seconds: float) -> None:
        """Report the duration of a transaction that Kafka has confirmed."""
        self._metrics.observe("driftwire_checkpoint_seconds", seconds)

    def count_aborted(self) -> None:
        """Count a transaction that Kafka has not confirmed."""
        self._metrics.count("driftwire_transactions_aborted_total", 1)

    def count_violation(self, kind: OrderViolation) -> None:
        """Count a violation of the order of messages."""
        self._metrics.count("driftwire_order_violations_total", 1, kind)

    def measure(self, step: Step) -> list[Measurement]:
        """Return the measurements of the step, and count what its counters have gained since the last call."""
        measurements = list(step.measure())
        self._metrics.count_gains(self._measured, measurements)
        return measurements

    def _report_violation(self, kind: OrderViolation, text: str) -> None:
        logger.error("%s: partition %d: the order of messages is violated: %s", self._step_name, self._partition, text)
        self.count_violation(kind)
