"""How a block is laid out for the detectors: signals and channels as columns, rows as samples.

May import one-sided tests, baselines and signals.
"""

from pipeline.detect.layout.grid import Grid, numbers_by_row
from pipeline.detect.layout.layout import Layout
from pipeline.detect.layout.samples import Samples, cut_samples
from pipeline.detect.layout.view import BlockView

__all__ = ["BlockView", "Grid", "Layout", "Samples", "cut_samples", "numbers_by_row"]
