"""Turn admitted records into blocks: buffer the records, add the derived signals, and choose the columns.

This package may import admission and signals.
"""

from pipeline.detect.blocks.buffer import Buffer
from pipeline.detect.blocks.columns import SignalColumns
from pipeline.detect.blocks.derived import DerivedSignals

__all__ = ["Buffer", "DerivedSignals", "SignalColumns"]
