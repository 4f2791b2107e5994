"""Benchmarks that compare driftwire with the reference pipeline.

This package may import world, harness and traffic.
"""

from load.bench.detect_benchmark import DetectBenchmark, run_benchmark

__all__ = ["DetectBenchmark", "run_benchmark"]
