"""Faust application of a step, with the runtime and the settings for exactly-once processing."""

import time
from typing import Any

import faust
from faust.app.base import BootStrategy

from topologies.configuration import KafkaSettings
from topologies.metrics import MetricsServer
from topologies.metrics_settings import MetricsSettings
from topologies.runtime.faust_transport import BATCHES_BUFFERED_MAX, RECORDS_PER_FETCH_MAX, ReadCommittedTransport
from topologies.runtime.runtime import StepRuntime
from topologies.runtime.topology_spec import TopologySpec

NEVER_S = 1e9
"""Commit interval of Faust in seconds. The runtime commits offsets in its own transactions."""

FETCH_BYTES_MAX = 4 * 1024 * 1024
"""Maximum bytes of one partition in a fetch. A single larger message is fetched anyway."""

REBALANCE_TIMEOUT_S = 30.0
"""Minimum seconds for which a rebalance waits for the members' final checkpoints.

A dead worker is dropped after its session; this limit is for slow workers. A shorter limit would expel them and cause
another rebalance.
"""

METADATA_AGE_MAX_MS = 10_000
"""Milliseconds after which a worker notices new partitions, or a topic that was created again."""


class _ConsumerOnly(BootStrategy):
    """Start without Faust's producer. The runtime writes with its own producers."""

    enable_kafka_producer = False


class StepApplication(faust.App):
    """The application of a step.

    Attributes
    ----------
    metrics_server
        Server of the metrics, or None.
    """

    metrics_server: MetricsServer | None = None

    BootStrategy = _ConsumerOnly

    def _create_directories(self) -> None:
        """Create no directories, because a worker stores nothing on disk."""


def build_application(
    spec: TopologySpec, kafka: KafkaSettings, metrics: MetricsSettings | None = None, *, replay: bool
) -> StepApplication:
    """Build the application of one step.

    Parameters
    ----------
    spec
        The topology of the step.
    kafka
        Address and settings of the cluster.
    metrics
        Where the metrics are served, or None.
    replay
        Whether the time of the records is the only clock.
    """
    app = StepApplication(
        f"{kafka.app_id}-{spec.name}",
        broker=f"kafka://{kafka.bootstrap}",
        ConsumerScheduler="topologies.runtime.faust_transport:BatchScheduler",
        store="memory://",
        topic_partitions=kafka.records_partitions,
        topic_replication_factor=kafka.replication_factor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        web_host="127.0.0.1",
        stream_wait_empty=False,
        stream_buffer_maxsize=BATCHES_BUFFERED_MAX,
        consumer_max_fetch_size=FETCH_BYTES_MAX,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_AGE_MAX_MS,
        broker_max_poll_records=RECORDS_PER_FETCH_MAX,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 3,
        broker_rebalance_timeout=max(kafka.session_timeout_s, REBALANCE_TIMEOUT_S),
        broker_commit_interval=NEVER_S,
    )
    app.transport = ReadCommittedTransport(app, kafka.cluster)
    runtime = StepRuntime(
        app,
        spec,
        cluster=kafka.cluster,
        checkpoint_interval_s=kafka.checkpoint_interval_s,
        clock=None if replay else time.time,
    )
    runtime.attach()
    if metrics is not None:
        server = app.metrics_server = MetricsServer(metrics, runtime.metrics, runtime.find_obstacle)

        async def stop(*_: Any, **__: Any) -> None:
            await server.stop()

        app.on_before_shutdown.connect(stop)
    return app
