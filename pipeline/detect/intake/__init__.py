"""From bytes to admitted records: decoding, event times, duplicates, and the watermark.

Knows no baseline. May import signals.
"""

from pipeline.detect.intake.admission import Admission, Admitted
from pipeline.detect.intake.batch import arrive
from pipeline.detect.intake.decode import parse
from pipeline.detect.intake.duplicates import Duplicates
from pipeline.detect.intake.event_time_guard import Gate
from pipeline.detect.intake.fields import WIDTH, Fields, Label, joined_labels
from pipeline.detect.intake.originals import Originals
from pipeline.detect.intake.reader import OUT_OF_BOUNDS, TOO_LONG, WRONG_TYPE, Reader
from pipeline.detect.intake.run import Placed, Run, by_subject
from pipeline.detect.intake.watermark import Progress, Watermark, by_place

__all__ = [
    "OUT_OF_BOUNDS",
    "TOO_LONG",
    "WIDTH",
    "WRONG_TYPE",
    "Admission",
    "Admitted",
    "Duplicates",
    "Fields",
    "Gate",
    "Label",
    "Originals",
    "Placed",
    "Progress",
    "Reader",
    "Run",
    "Watermark",
    "arrive",
    "by_place",
    "by_subject",
    "joined_labels",
    "parse",
]
