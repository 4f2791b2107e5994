"""Turn admitted records into blocks: add derived signals and labels of late outcomes, buffer, and choose the columns.

This package may import admission and signals.
"""

from pipeline.detect.blocks.buffer import Buffer
from pipeline.detect.blocks.columns import SignalColumns, find_categories, find_versions
from pipeline.detect.blocks.deferred import DeferredRecords
from pipeline.detect.blocks.derived import DerivedSignals
from pipeline.detect.blocks.outcome_labels import OutcomeLabels

__all__ = [
    "Buffer",
    "DeferredRecords",
    "DerivedSignals",
    "OutcomeLabels",
    "SignalColumns",
    "find_categories",
    "find_versions",
]
