"""From admitted records to blocks: buffer them, add the signals derived record by record, and choose the columns.

May import intake and signals.
"""

from pipeline.detect.blocks.buffer import Buffer
from pipeline.detect.blocks.columns import SignalColumns
from pipeline.detect.blocks.derived import DerivedSignals

__all__ = ["Buffer", "DerivedSignals", "SignalColumns"]
