"""Metrics and health of a worker. Only this package knows Prometheus.

This package may import the listener and its settings.
"""

from topologies.metrics.metric_list import METRICS, Metric, OrderViolation, PartitionState
from topologies.metrics.metrics_server import MetricsServer
from topologies.metrics.output_count import count_outputs
from topologies.metrics.worker_metrics import Totals, WorkerMetrics

__all__ = [
    "METRICS",
    "Metric",
    "MetricsServer",
    "OrderViolation",
    "PartitionState",
    "Totals",
    "WorkerMetrics",
    "count_outputs",
]
