"""Pages that are written from the reports of the benchmarks: performance, and planning for larger loads.

This package imports nothing of load but errors.
"""

from load.bench.pages.performance import write_performance
from load.bench.pages.reports import Reports, read_reports
from load.bench.pages.scaling import write_scaling

__all__ = ["Reports", "read_reports", "write_performance", "write_scaling"]
