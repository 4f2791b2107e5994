"""Benchmarks beside the yardstick.

May import world, inputs, stage and traffic.
"""

from load.bench.bench_detect import bench, show

__all__ = ["bench", "show"]
