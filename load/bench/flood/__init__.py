"""A flood of drifts with few and many open incidents: the cost of the correlate step and of the route step.

This package may import world, harness and traffic.
"""

from load.bench.flood.correlate_benchmark import CorrelateBenchmark, run_correlate_benchmark
from load.bench.flood.drift_flood import DriftFlood

__all__ = ["CorrelateBenchmark", "DriftFlood", "run_correlate_benchmark"]
