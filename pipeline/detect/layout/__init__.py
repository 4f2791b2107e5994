"""The layout of a block for the detectors: signals and channels as columns, records grouped in samples.

This package may import one-sided tests, baselines and signals.
"""

from pipeline.detect.layout.grid import BlockView, Grid, Samples
from pipeline.detect.layout.grid_layout import GridLayout

__all__ = ["BlockView", "Grid", "GridLayout", "Samples"]
