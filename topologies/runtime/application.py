"""The Faust application of a step, with the settings that exact steps need, and the runtime attached to it."""

import time

import faust

from topologies.configuration import KafkaSettings
from topologies.runtime.faust_transport import BATCHES_BUFFERED_MAX, RECORDS_A_FETCH_MAX, ReadCommittedTransport
from topologies.runtime.runtime import StepRuntime
from topologies.runtime.wiring import Wiring

NEVER_S = 1e9
"""Seconds: Faust commits nothing, the runtime's transactions do."""

FETCH_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of one partition that a fetch may bring; a single larger message comes all the same."""


class _Application(faust.App):
    def _create_directories(self) -> None:
        """Nothing: a worker keeps nothing on its disk."""


def application(wiring: Wiring, kafka: KafkaSettings, *, replay: bool) -> faust.App:
    """The application of one step.

    Parameters
    ----------
    wiring
        The step.
    kafka
        Where the cluster is, and how to be a member of it.
    replay
        Whether the only clock is that of the records.
    """
    app = _Application(
        f"{kafka.app_id}-{wiring.name}",
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
        broker_max_poll_records=RECORDS_A_FETCH_MAX,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 3,
        broker_rebalance_timeout=kafka.session_timeout_s,
        broker_commit_interval=NEVER_S,
    )
    app.transport = ReadCommittedTransport(app.conf.broker_consumer, app)
    StepRuntime(
        app,
        wiring,
        bootstrap=kafka.bootstrap,
        checkpoint_interval_s=kafka.checkpoint_interval_s,
        clock=None if replay else time.time,
    ).attach()
    return app
