"""Turn messages into admitted records: parse messages, check records, and track event time.

This package does not use baselines. It may import signals. To follow a record, read the files in this order:

1. ``batch.py`` decodes a batch of messages. ``decode.py`` parses their JSON.
2. ``reader.py`` reads JSON objects into columns (``records.py``). ``shape.py`` finds the objects with equal fields, and
   ``projection.py`` reduces large objects.
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
