"""Replayed: a batch pushed into its units while the silences of the others are told by the partition's event time.

Live, silence is decided by the wall clock. A replay has none, so a unit is silent while the watermark of its partition
goes on without it; each is cut where that was so, so that batches make no difference.
"""

from collections.abc import Iterable, Sequence

from pipeline.detect.intake import PositionedOutput, Records, Watermark
from pipeline.detect.stream.stream import Stream

_Silences = list[tuple[str, PositionedOutput]]


def push_replayed(
    admitted: Sequence[tuple[Stream, Records]], units: Iterable[Stream], watermark: Watermark, *, least_ms: int
) -> list[PositionedOutput]:
    """Push runs into their units, and tell which of all units fell silent meanwhile.

    Parameters
    ----------
    admitted
        Units with records, and these; each unit once.
    units
        All of the partition.
    watermark
        Of the partition, advanced over all these records.
    least_ms
        Milliseconds from which on a unit can be silent at all.
    """
    outputs: list[PositionedOutput] = []
    silences: _Silences = []
    for unit, run in admitted:
        start = 0
        for number, heard_ms, reached_ms in watermark.find_pauses(unit.heard_ms, run.positions, least_ms):
            # What is known of the unit there must not depend on where the batch began.
            if number:
                outputs += unit.push(run.cut(start, number))
            silences += _quiet(unit, watermark, heard_ms, reached_ms)
            start = number
        outputs += unit.push(run.cut(start, len(run)))
        unit.heard_ms = watermark.time_at(run.positions[-1])
    for unit in units:
        silences += _quiet(unit, watermark, unit.heard_ms, watermark.time_ms)
    # Several may begin at one place: in the order of subjects, whichever were in the batch.
    return outputs + [silence for _, silence in sorted(silences, key=lambda each: each[0])]


def _quiet(unit: Stream, watermark: Watermark, heard_ms: int, reached_ms: int) -> _Silences:
    """Let the partition go on from one watermark to another without a record of a unit."""
    if unit.silent_after_s is None or not heard_ms or reached_ms - heard_ms < unit.silent_after_s * 1000:
        return []
    due_ms = heard_ms + round(unit.silent_after_s * 1000)
    outputs = unit.report_silence(max(due_ms, unit.watermark))
    return [(unit.subject, (watermark.position_reaching(due_ms), output)) for output in outputs]
