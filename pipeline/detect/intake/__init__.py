"""From bytes to admitted records: decoding, event times, duplicates, and the watermark.

Knows no baseline. May import signals.
"""

from pipeline.detect.intake.admission import Admission, Admitted
from pipeline.detect.intake.batch import decode_batch
from pipeline.detect.intake.decode import parse_json
from pipeline.detect.intake.duplicates import Duplicates
from pipeline.detect.intake.event_time_guard import EventTimeGuard
from pipeline.detect.intake.fields import WIDTH, Fields, Label, joined_labels
from pipeline.detect.intake.originals import Originals
from pipeline.detect.intake.reader import OUT_OF_BOUNDS, TOO_LONG, WRONG_TYPE, RecordReader
from pipeline.detect.intake.run import PositionedOutput, Run, split_by_subject
from pipeline.detect.intake.watermark import Watermark, WatermarkHistory, order_by_position

__all__ = [
    "OUT_OF_BOUNDS",
    "TOO_LONG",
    "WIDTH",
    "WRONG_TYPE",
    "Admission",
    "Admitted",
    "Duplicates",
    "EventTimeGuard",
    "Fields",
    "Label",
    "Originals",
    "PositionedOutput",
    "RecordReader",
    "Run",
    "Watermark",
    "WatermarkHistory",
    "decode_batch",
    "joined_labels",
    "order_by_position",
    "parse_json",
    "split_by_subject",
]
