"""The Numenta Anomaly Benchmark: its series, its score from its description, and the suite that compares detectors.

The package itself is the suite. It may import simulation through the classes that all suites share.
"""

from load.score.nab.benchmark_suite import report, show, tasks
from load.score.nab.labelled_series import LabelledSeries, list_series, read_series

__all__ = ["LabelledSeries", "list_series", "read_series", "report", "show", "tasks"]
