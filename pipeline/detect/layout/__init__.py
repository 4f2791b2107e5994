"""The layout of a block for the detectors, with signals and channels as columns and records grouped into samples.

This package may import one-sided tests, admission, baselines and signals.
"""

from pipeline.detect.layout.block_batch import BlockBatch
from pipeline.detect.layout.derived_tests import DerivedTests
from pipeline.detect.layout.grid import NEXT_RECORD, BlockView, Grid, Samples
from pipeline.detect.layout.grid_layout import GridLayout

__all__ = ["NEXT_RECORD", "BlockBatch", "BlockView", "DerivedTests", "Grid", "GridLayout", "Samples"]
