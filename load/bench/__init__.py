"""Benchmarks that compare driftwire with the reference pipeline, and intake with only parsing.

This package may import world, harness and traffic.
"""

from load.bench.detect_benchmark import DetectBenchmark, run_benchmark
from load.bench.intake_benchmark import run_intake_benchmark, run_telemetry_benchmark

__all__ = ["DetectBenchmark", "run_benchmark", "run_intake_benchmark", "run_telemetry_benchmark"]
