"""Turn messages into admitted records: parse messages, check records, and track event time.

This package does not use baselines. It may import signals. To follow a record, read the files in this order:

1. ``batch.py`` decodes a batch of messages. ``typed_reader.py`` reads messages with known fields of the usual types into
   columns (``records.py``). ``decode.py`` parses the JSON of the other messages.
2. ``reader.py`` reads JSON objects into the same columns. ``shape.py`` finds the objects with equal fields.
3. ``admission.py`` checks subjects and event times (``times.py``). A record that fails becomes a dead letter with
   its original bytes (``originals.py``).
4. ``event_time_guard.py`` and ``watermark.py`` replace the wall clock in a replay.
5. ``duplicates.py`` finds records that a producer sent more than once.
"""

from pipeline.detect.admission.admission import Admission, AdmittedBatch
from pipeline.detect.admission.duplicates import Duplicates
from pipeline.detect.admission.event_time_guard import EventTimeGuard
from pipeline.detect.admission.originals import PositionedOutput
from pipeline.detect.admission.records import Records
from pipeline.detect.admission.watermark import Watermark

__all__ = [
    "Admission",
    "AdmittedBatch",
    "Duplicates",
    "EventTimeGuard",
    "PositionedOutput",
    "Records",
    "Watermark",
]
