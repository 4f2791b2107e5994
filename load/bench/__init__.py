"""Benchmarks that compare driftwire with the reference pipeline and intake with only parsing, and overload HTTP.

This package may import world, harness and traffic.
"""

from load.bench.detect_benchmark import DetectBenchmark, run_benchmark
from load.bench.http_overload import HttpOverload, run_http_overload
from load.bench.intake_benchmark import run_intake_benchmark, run_telemetry_benchmark

__all__ = [
    "DetectBenchmark",
    "HttpOverload",
    "run_benchmark",
    "run_http_overload",
    "run_intake_benchmark",
    "run_telemetry_benchmark",
]
