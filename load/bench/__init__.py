"""Benchmarks of the workers, compared with other pipelines on the same topic, and of intake and HTTP.

This package may import world, harness and traffic.
"""

from load.bench.backlog_benchmark import run_backlog_benchmark
from load.bench.detect_benchmark import ALL_PEERS, DETECT_PEERS, busy_service, run_detect_benchmark
from load.bench.http_overload import HttpOverload, run_http_overload
from load.bench.intake_benchmark import run_intake_benchmark, run_telemetry_benchmark
from load.bench.latency_benchmark import live_fleet, run_latency_benchmark
from load.bench.machine import describe_run
from load.bench.memory_benchmark import quiet_fleet, run_memory_benchmark
from load.bench.recovery_benchmark import run_recovery_benchmark
from load.bench.segments_benchmark import run_segments_benchmark
from load.bench.subjects_benchmark import fleet_of, run_subjects_benchmark
from load.bench.workers_benchmark import run_workers_benchmark

__all__ = [
    "ALL_PEERS",
    "DETECT_PEERS",
    "HttpOverload",
    "busy_service",
    "describe_run",
    "fleet_of",
    "live_fleet",
    "quiet_fleet",
    "run_backlog_benchmark",
    "run_detect_benchmark",
    "run_http_overload",
    "run_intake_benchmark",
    "run_latency_benchmark",
    "run_memory_benchmark",
    "run_recovery_benchmark",
    "run_segments_benchmark",
    "run_subjects_benchmark",
    "run_telemetry_benchmark",
    "run_workers_benchmark",
]
