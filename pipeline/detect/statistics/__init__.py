"""Online statistics of every signal of a stream: moments, quantiles, label counts.

This package may import signals.
"""

from pipeline.detect.statistics.statistics import Statistics

__all__ = ["Statistics"]
