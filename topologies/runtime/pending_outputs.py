"""The outputs of a partition that wait for a checkpoint."""

from collections.abc import Iterator, Sequence

from pipeline.dead_letters import dead_letter, refused_output, shorten_dead_letter
from pipeline.step import InputMessage, OutputMessage
from schemas.topics import DEAD_LETTERS, RECORDS
from topologies.kafka import UnreadableBatch
from topologies.runtime.checkpoint import MessagesRefused


class PendingOutputs:
    """Outputs in the order in which they were added.

    Attributes
    ----------
    messages
        The outputs.
    size_bytes
        Bytes of their values.
    is_urgent
        True if one of them should be written before the checkpoint interval ends.
    """

    def __init__(self) -> None:
        self.messages: list[OutputMessage] = []
        self.size_bytes = 0
        self.is_urgent = False

    def add(self, outputs: Sequence[OutputMessage]) -> None:
        """Add outputs. Ticks, which have no key, records and dead letters are not urgent."""
        self.messages.extend(outputs)
        for output in outputs:
            self.size_bytes += len(output.value or b"")
            self.is_urgent |= output.key is not None and output.topic not in (DEAD_LETTERS, RECORDS)

    def replace_refused(self, step: str, refused: MessagesRefused) -> Iterator[bool]:
        """Replace refused outputs by dead letters, and refused dead letters by shorter ones.

        Yield for each whether it was replaced by a dead letter. What cannot be shortened is not yielded.
        """
        for index in refused.indices:
            output = self.messages[index]
            is_dead_letter = output.topic == DEAD_LETTERS
            replacement = shorten_dead_letter(output) if is_dead_letter else refused_output(step, output, str(refused))
            if replacement is not output:
                self.messages[index] = replacement
                yield not is_dead_letter


def internal_error(step: str, message: InputMessage) -> OutputMessage:
    """Return the dead letter of a message on which the step fails."""
    return dead_letter(step, message, "internal_error", "the step failed on this message")


def unreadable_batch(step: str, batch: UnreadableBatch) -> OutputMessage:
    """Return the dead letter of a batch that could not be read."""
    return dead_letter(step, batch, "unreadable_batch", batch.detail, last_offset=batch.last_offset)
