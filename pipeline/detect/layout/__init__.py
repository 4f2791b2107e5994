"""How a block is laid out for the detectors: signals and channels as columns, rows as samples.

May import one-sided tests, baselines and signals.
"""

from pipeline.detect.layout.grid import Grid, by_row
from pipeline.detect.layout.layout import Layout
from pipeline.detect.layout.samples import Samples, samples_of
from pipeline.detect.layout.view import View

__all__ = ["Grid", "Layout", "Samples", "View", "by_row", "samples_of"]
