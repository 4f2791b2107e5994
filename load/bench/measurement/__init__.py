"""What the benchmarks of workers share: a fleet, a filled topic, timed runs, peers, and the resources of processes.

This package may import world, harness and traffic.
"""

from load.bench.measurement.committed_records import watch_committed
from load.bench.measurement.filled_topic import FilledTopic, filled_topic
from load.bench.measurement.fleet import SimulatedFleet
from load.bench.measurement.judged import judged_problems
from load.bench.measurement.peer_comparison import PeerComparison
from load.bench.measurement.processes import resident_mb
from load.bench.measurement.running_workers import running_workers

__all__ = [
    "FilledTopic",
    "PeerComparison",
    "SimulatedFleet",
    "filled_topic",
    "judged_problems",
    "resident_mb",
    "running_workers",
    "watch_committed",
]
