"""The buffer: records of one unit until they are a block. Where a block ends is said by the records, never by a fetch."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.run import Run
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shape import Shape


@dataclass(slots=True)
class Rows:
    """Records with what was found of them on their way, in lists of equal length."""

    records: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    panes: list[int] = field(default_factory=list)
    request_ids: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)


class Buffer:
    """Collects the records of one unit.

    A block ends before a record of another pane if ``flush_records`` are buffered or the record's pane is
    ``flush_panes`` beyond the first one's, and after the record that makes it ``block_records``.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self.rows = Rows()

    def take(self) -> Rows:
        """All that is buffered; the buffer is empty then."""
        rows, self.rows = self.rows, Rows()
        return rows

    def push(self, run: Run, panes: NDArray[np.int64], request_ids: list[str | None]) -> Iterator[tuple[int, Rows]]:
        """Buffer the records of a run, in their order.

        Parameters
        ----------
        run, panes, request_ids
            Alike in length; panes never fall.

        Yields
        ------
        place
            Of the record that ended a block.
        rows
            Of that block.
        """
        start = 0
        changes = (np.flatnonzero(panes[1:] != panes[:-1]) + 1).tolist()
        if self.rows.panes and panes[0] != self.rows.panes[-1]:
            changes.insert(0, 0)
        listed = Rows(list(run.records), list(run.shapes), run.times_ms.tolist(), panes.tolist(), request_ids)
        for change in changes:
            yield from self._fill(run, listed, start, change)
            start = change
            if self.rows.panes and self._ends(listed.panes[change]):
                yield run.places[change], self.take()
        yield from self._fill(run, listed, start, len(listed))

    def _ends(self, pane: int) -> bool:
        return len(self.rows) >= self._settings.flush_records or pane - self.rows.panes[0] >= self._settings.flush_panes

    def _fill(self, run: Run, listed: Rows, start: int, stop: int) -> Iterator[tuple[int, Rows]]:
        while start < stop:
            end = min(stop, start + self._settings.block_records - len(self.rows))
            rows = self.rows
            rows.records += listed.records[start:end]
            rows.shapes += listed.shapes[start:end]
            rows.times_ms += listed.times_ms[start:end]
            rows.panes += listed.panes[start:end]
            rows.request_ids += listed.request_ids[start:end]
            if len(rows) == self._settings.block_records:
                yield run.places[end - 1], self.take()
            start = end
