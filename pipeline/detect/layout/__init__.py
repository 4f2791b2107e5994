"""The layout of a block for the detectors, with signals and channels as columns and records grouped into samples.

This package may import one-sided tests, baselines and signals.
"""

from pipeline.detect.layout.grid import BlockView, Grid, Samples
from pipeline.detect.layout.grid_layout import GridLayout

__all__ = ["BlockView", "Grid", "GridLayout", "Samples"]
