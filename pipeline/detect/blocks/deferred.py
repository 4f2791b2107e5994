"""Records of a stream that wait to be used, because using a few records takes almost as long as using a block."""

from collections.abc import Sequence

from pipeline.detect.admission import Records
from pipeline.detect.blocks.buffer import Buffer
from pipeline.detect.signals import PANE_MS

PANES_MAX = 10
"""Maximum number of panes that wait. A test of losses fires after ten panes at the earliest, so nothing that waits can
cause a drift."""

_Slice = tuple[Records, int, int]


class DeferredRecords:
    """Records that have arrived since a stream last used records. They complete no block.

    They keep a reference to their batches. The step therefore limits how long they wait.

    Attributes
    ----------
    watermark
        Watermark of the stream before the first of these records, in Unix milliseconds.
    first_pane
        Pane of the first of these records.
    """

    def __init__(self) -> None:
        self._slices: list[_Slice] = []
        self._length = 0
        self.watermark = self.first_pane = 0

    def __len__(self) -> int:
        return self._length

    def offer(self, records: Records, start: int, stop: int, watermark: int, newest_ms: int, buffer: Buffer) -> bool:
        """Add records from ``start`` up to ``stop`` of a batch, unless they may complete a block. Return whether they wait.

        Parameters
        ----------
        watermark, newest_ms
            Watermark of the stream before and after these records.
        buffer
            The buffered records of the stream.
        """
        first_pane = self.first_pane if self._length else max(watermark, int(records.times_ms[start])) // PANE_MS
        last_pane = newest_ms // PANE_MS
        length = self._length + stop - start
        if last_pane - first_pane >= PANES_MAX or not buffer.has_room(length, first_pane, last_pane):
            return False
        if not self._length:
            self.watermark, self.first_pane = watermark, first_pane
        self._slices.append((records, start, stop))
        self._length = length
        return True

    def take(self, *following: _Slice) -> Records:
        """Remove all records, and return them with the records that follow. There must be at least one record."""
        slices: Sequence[_Slice] = (*self._slices, *following)
        self._slices, self._length = [], 0
        return Records.join(slices)
