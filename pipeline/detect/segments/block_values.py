"""The segment values in a block of a stream that is observed together with other streams."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.detect.segments.segment_values import LIVE_S, NOT_MONITORED, SegmentValue, SegmentValues
from pipeline.detect.segments.segments import PROVIDER, Labels, Segments


@dataclass(slots=True)
class BlockValues:
    """The segment values in a block of a stream. All of them are stored.

    Attributes
    ----------
    monitored
        The values of the monitored dimensions, in the order of :meth:`Segments.update`.
    labels
        For each monitored dimension, its labels and the index of its first value in ``monitored``.
    not_monitored
        The values of the other dimensions.
    dimensions
        All dimensions of the block.
    """

    monitored: list[SegmentValue]
    labels: list[tuple[Sequence[str | None], int, int]]
    not_monitored: list[SegmentValue]
    dimensions: list[SegmentValues]


def find_block_values(
    segments: Segments, labels: Labels, versions: Labels, first_pane: int, last_pane: int
) -> BlockValues | None:
    """Return the segment values of a block, or None if values must be replaced or are no longer monitored.

    New values are stored, and get a slot in the bank if their dimension is monitored. Nothing is counted, so
    :meth:`Segments.update` has the same result for this block as before. No test of a value may be latched.
    """
    block = BlockValues([], [], [], [])
    monitored = block.monitored
    for name, column in labels.items() if segments.tests else ():
        dimension = segments.dimension(name)
        if not dimension.is_version:
            dimension.is_version = name in versions or name == PROVIDER
        values, first_label = dimension.values, column[0]
        if first_label is not None and column.count(first_label) == len(column):
            distinct = [first_label]
        else:
            distinct = [label for label in dict.fromkeys(column) if label is not None]
        new = [label for label in distinct if label not in values]
        if new and not dimension.add_new(new, first_pane, last_pane):
            return None
        present = [values[label] for label in distinct]
        block.dimensions.append(dimension)
        if len(present) < 2 and not _has_other_live_value(dimension, present[0], last_pane):
            if any(value.slot != NOT_MONITORED for value in values.values()):
                return None
            block.not_monitored += present
            continue
        for value in present:
            if value.slot == NOT_MONITORED:
                segments.monitor_value(value)
        block.labels.append((column, len(monitored), len(monitored) + len(present)))
        monitored += present
    return block


def _has_other_live_value(dimension: SegmentValues, present: SegmentValue, pane: int) -> bool:
    """Return whether a value that is not in a block is live."""
    values = dimension.values.values()
    return len(values) > 1 and any(value is not present and pane - value.last_pane <= LIVE_S for value in values)
