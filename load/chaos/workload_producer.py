"""Producer of the workload, which sends each message once and in order, even if the broker is down for minutes."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from load.chaos.schedule_clock import ScheduleClock
from load.chaos.workload import WorkloadMessage
from load.errors import LoadError
from schemas.topics import RECORDS, topic
from topologies.kafka import Cluster

PATIENCE_S = 600.0
"""Seconds for which a message may wait for the broker."""

STEP_RECORDS = 50
"""Number of messages between checks of the pace."""


class WorkloadProducer:
    """Producer of one run.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    messages
        Messages to send.
    run_s, clock
        Seconds over which the messages are sent, and the clock that counts them. Without a clock, the messages are sent
        as fast as possible.

    Attributes
    ----------
    clock_offset_ms
        Milliseconds by which the clock of the producer is wrong. The timestamps of the Kafka messages follow this
        clock.
    sent_with_wrong_clock
        Number of messages sent with a wrong clock.
    offsets
        Offset of each message in its partition, once all messages are sent.
    """

    def __init__(
        self,
        cluster: Cluster,
        messages: Sequence[WorkloadMessage],
        run_s: float = 0.0,
        clock: ScheduleClock | None = None,
    ) -> None:
        self.clock_offset_ms = 0
        self.sent_with_wrong_clock = 0
        self.offsets: list[int] = []
        self._cluster = cluster
        self._messages = messages
        self._run_s = run_s
        self._clock = clock

    async def run(self) -> None:
        """Send all messages, and return when all are written.

        Raises
        ------
        LoadError
            If the broker refuses a message or is down for too long.
        """
        futures: list[asyncio.Future[Any]] = []
        producer = self._client(None)
        packer = self._client("gzip")
        try:
            await producer.start()
            await packer.start()
            for number, message in enumerate(self._messages):
                if message.is_compressed:
                    await producer.flush()  # the order within the partition must not depend on time
                    futures.append(await self._send(packer, message))
                    await packer.flush()
                else:
                    futures.append(await self._send(producer, message))
                if number % STEP_RECORDS == 0 and self._clock is not None:
                    await self._clock.wait_until(self._run_s * number / len(self._messages))
            self.offsets = [written.offset for written in await asyncio.gather(*futures)]
        except (KafkaError, OSError) as error:
            raise LoadError(f"a record was not written to Kafka at {self._cluster}: {error!r}") from error
        finally:
            await producer.stop()
            await packer.stop()

    async def _send(self, producer: AIOKafkaProducer, message: WorkloadMessage) -> "asyncio.Future[Any]":
        # Without an offset, aiokafka uses the clock of this process.
        timestamp_ms = None
        if self.clock_offset_ms:
            self.sent_with_wrong_clock += 1
            timestamp_ms = time.time_ns() // 1_000_000 + self.clock_offset_ms
        # aiokafka refuses a message with neither key nor value.
        key = b"tombstone" if message.value is None else None
        future: asyncio.Future[Any] = await producer.send(
            RECORDS, message.value, key=key, partition=message.partition, timestamp_ms=timestamp_ms
        )
        return future

    def _client(self, compression: str | None) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._cluster.client_options(),
            client_id="chaos-producer",
            enable_idempotence=True,
            compression_type=compression,
            linger_ms=5,
            max_request_size=2 * topic(RECORDS).message_bytes_max,
            request_timeout_ms=int(PATIENCE_S * 1000),
        )
