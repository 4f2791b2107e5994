"""Push a batch in a replay, and find silences by event time.

In live operation, the wall clock decides whether a subject is silent. A replay has no wall clock, so a subject is
silent while the watermark of its partition advances without a record of the subject. The records of a stream are split
at every pause that is long enough to be a silence. The result therefore does not depend on batch boundaries.
"""

from collections.abc import Iterable, Sequence

from pipeline.detect.admission import PositionedOutput, Records, Watermark
from pipeline.detect.stream.silences import report_replayed_silence
from pipeline.detect.stream.stream import Stream

_SubjectOutputs = list[tuple[str, PositionedOutput]]


def push_replayed(
    runs: Sequence[tuple[Stream, Records]], streams: Iterable[Stream], watermark: Watermark, *, pause_min_ms: int
) -> list[PositionedOutput]:
    """Push records into their streams, and report the streams of the partition that became silent in the meantime.

    Parameters
    ----------
    runs
        Streams with their records. No stream may occur twice.
    streams
        All streams of the partition.
    watermark
        The watermark of the partition, already advanced over all these records.
    pause_min_ms
        Shortest silence of any stream, milliseconds.
    """
    outputs: list[PositionedOutput] = []
    silences: _SubjectOutputs = []
    for stream, records in runs:
        start = 0
        for number, before_ms, reached_ms in watermark.find_pauses(
            stream.partition_ms, records.positions, pause_min_ms
        ):
            # Push the records before the pause first. Otherwise the result would depend on where the batch began.
            if number:
                outputs += stream.push(records.cut(start, number))
            silences += _report_pause(stream, watermark, before_ms, reached_ms)
            start = number
        outputs += stream.push(records.cut(start, len(records)))
        stream.partition_ms = watermark.time_at(records.positions[-1])
    for stream in streams:
        silences += _report_pause(stream, watermark, stream.partition_ms, watermark.time_ms)
    # Sort silences at the same position by subject, so the order does not depend on the batch.
    return outputs + [output for _, output in sorted(silences, key=lambda silence: silence[0])]


def _report_pause(stream: Stream, watermark: Watermark, before_ms: int, reached_ms: int) -> _SubjectOutputs:
    """Report a silence if the watermark advanced far enough without a record of a stream."""
    reported = report_replayed_silence(stream, before_ms, reached_ms) if before_ms else []
    return [(stream.subject, (watermark.position_reaching(due_ms), output)) for due_ms, output in reported]
