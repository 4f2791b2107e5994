"""From messages to admitted records: parse, check, and order them by event time. Knows no baseline. May import signals.

To follow a record, read the files in this order:

1. ``batch.py`` decodes a batch of messages, with ``decode.py`` for the JSON.
2. ``reader.py`` reads JSON objects into columns (``records.py``). ``shape.py`` finds the objects with equal fields,
   ``projection.py`` cuts down large ones.
3. ``admission.py`` checks subjects and event times (``times.py``). What fails becomes a dead letter with the original
   bytes (``originals.py``).
4. ``event_time_guard.py`` and ``watermark.py`` stand in for the wall clock in a replay.
5. ``duplicates.py`` finds records that a producer sent again.
"""

from pipeline.detect.intake.admission import Admission, AdmittedBatch
from pipeline.detect.intake.duplicates import Duplicates
from pipeline.detect.intake.event_time_guard import EventTimeGuard
from pipeline.detect.intake.originals import PositionedOutput
from pipeline.detect.intake.records import FaultReason, Records
from pipeline.detect.intake.watermark import Watermark

__all__ = [
    "Admission",
    "AdmittedBatch",
    "Duplicates",
    "EventTimeGuard",
    "FaultReason",
    "PositionedOutput",
    "Records",
    "Watermark",
]
