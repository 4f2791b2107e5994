"""Benchmarks of driftwire beside the obvious pipeline.

May import world, inputs, harness and traffic.
"""

from load.bench.detect_benchmark import DetectBenchmark, run_benchmark

__all__ = ["DetectBenchmark", "run_benchmark"]
