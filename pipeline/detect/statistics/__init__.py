"""Online statistics of every signal of a stream: moments, quantiles, label counts.

This package may import signals.
"""

from pipeline.detect.statistics.quantiles import Quantiles
from pipeline.detect.statistics.statistics import Statistics
from pipeline.detect.statistics.statistics_batch import add_values

__all__ = ["Quantiles", "Statistics", "add_values"]
