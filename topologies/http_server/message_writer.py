"""Write the messages of requests to Kafka. A write returns when all in-sync replicas have all of its messages."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    TopicAuthorizationFailedError,
)

from pipeline.step import OutputMessage
from schemas.topics import MEBIBYTE, RECORDS, topic
from topologies.errors import BrokerUnreachable, DriftwireError
from topologies.kafka import Cluster, HealthCheck

WRITE_TIMEOUT_S = 5.0
"""Maximum seconds until Kafka confirms the messages of a request."""

LINGER_MS = 5
"""Milliseconds for which the messages of several requests are collected into one batch."""

BATCH_BYTES = 256 * 1024
"""Maximum bytes of a batch with several messages."""

MESSAGES_PER_TURN = 200
"""Number of messages that are added without giving other requests a turn."""

HEALTH_AGE_MAX_S = 1.0
"""Seconds after which Kafka is asked again whether it answers."""

STOP_TIMEOUT_S = 2.0
"""Maximum seconds to wait for the last messages when a producer stops."""

MESSAGE_BYTES_MAX = 16 * MEBIBYTE
MESSAGE_MARGIN = 1024
"""Bytes of a batch beyond the key and the value of its only message."""

logger = logging.getLogger("driftwire")


class MessageTooLarge(Exception):
    """A message is larger than its topic allows. Nothing of the request was written.

    Attributes
    ----------
    index
        Index of the message in the request.
    """

    def __init__(self, index: int, bytes_max: int) -> None:
        super().__init__(f"message {index} is larger than the {bytes_max:,} bytes of its topic")
        self.index = index
        self.bytes_max = bytes_max


class WriteFailed(Exception):
    """Kafka did not confirm all messages. It can have stored some of them. A later attempt may succeed."""


class MessageWriter:
    """Idempotent producer that is replaced after an error from which it cannot recover.

    A slow or unavailable Kafka does not fill the memory: the producer stores one batch per partition, and further
    messages wait in their requests.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()
        self._health_check = HealthCheck(cluster)
        self._checking = asyncio.Lock()
        self._checked_at = -HEALTH_AGE_MAX_S
        self._answers = False
        self._problem = ""

    async def start(self) -> None:
        """Connect to Kafka.

        Raises
        ------
        BrokerUnreachable
            If no broker answers.
        """
        async with self._cluster.connecting():
            await self._connected()

    async def write(self, outputs: Sequence[OutputMessage]) -> None:
        """Write messages, and return when all in-sync replicas have all of them.

        Raises
        ------
        MessageTooLarge
            If a message is too large for its topic. Nothing is written.
        WriteFailed
            If Kafka does not confirm all messages in time.
        """
        for index, output in enumerate(outputs):
            bytes_max = topic(output.topic).message_bytes_max
            if len(output.key or b"") + len(output.value or b"") + MESSAGE_MARGIN > bytes_max:
                raise MessageTooLarge(index, bytes_max)
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                producer = await self._connected()
                await _send_all(producer, outputs)
        except TimeoutError as error:
            self._report(f"Kafka at {self._cluster} did not confirm messages within {WRITE_TIMEOUT_S:.0f} s")
            raise WriteFailed from error
        except (KafkaError, OSError, DriftwireError) as error:
            # Another request has replaced a closed producer, and has reported why.
            if not isinstance(error, ProducerClosed):
                self._report(self._describe(error))
            if producer is not None and isinstance(error, KafkaError) and not _is_temporary(error):
                self._discard(producer)
            raise WriteFailed from error
        self._report("")

    async def is_available(self) -> bool:
        """Return whether Kafka answers, at most a second ago."""
        async with self._checking:
            now = asyncio.get_running_loop().time()
            if now - self._checked_at >= HEALTH_AGE_MAX_S:
                self._answers = await self._ask_kafka()
                self._checked_at = asyncio.get_running_loop().time()
            return self._answers

    async def stop(self) -> None:
        """Write the last messages and disconnect."""
        if self._producer is not None:
            self._discard(self._producer)
        if self._stopping:
            await asyncio.wait(self._stopping)

    async def _ask_kafka(self) -> bool:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                producer = await self._connected()
                await self._health_check.run(producer.client, [])
        except (TimeoutError, KafkaError, OSError, DriftwireError):
            return False
        return not self._health_check.problem

    async def _connected(self) -> AIOKafkaProducer:
        """Return the producer. Start one if there is none."""
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._cluster.client_options(),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=LINGER_MS,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=MESSAGE_BYTES_MAX,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _discard(self, producer: AIOKafkaProducer) -> None:
        """Stop a producer in the background. After some errors, an idempotent producer can write nothing more."""
        if self._producer is producer:
            self._producer = None
            task = asyncio.create_task(_stop(producer))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    def _describe(self, error: Exception) -> str:
        if isinstance(error, TopicAuthorizationFailedError):
            return self._cluster.describe_missing_right(error, "Write")
        if isinstance(error, MessageSizeTooLargeError):
            return (
                f"Kafka at {self._cluster} did not accept messages: a topic of driftwire allows only smaller ones; set its "
                f"max.message.bytes to at least {topic(RECORDS).message_bytes_max}"
            )
        if isinstance(error, (BrokerUnreachable, OSError)):
            return f"Kafka at {self._cluster} does not answer"
        return f"Kafka at {self._cluster} did not accept messages: {str(error) or type(error).__name__}"

    def _report(self, problem: str) -> None:
        """Log a problem once, and its end."""
        if problem == self._problem:
            return
        if problem:
            logger.warning("http: %s; clients are asked to send them again", problem)
        else:
            logger.warning("http: Kafka at %s accepts messages again", self._cluster)
        self._problem = problem


async def _send_all(producer: AIOKafkaProducer, outputs: Sequence[OutputMessage]) -> None:
    futures = []
    for number, output in enumerate(outputs, 1):
        futures.append(await producer.send(output.topic, output.value, output.key))
        if number % MESSAGES_PER_TURN == 0:
            await asyncio.sleep(0)
    # Waiting does not cancel the futures of messages that Kafka may still accept.
    await asyncio.wait(futures)
    for future in futures:
        future.result()


def _is_temporary(error: KafkaError) -> bool:
    return error.retriable or isinstance(error, KafkaTimeoutError)


async def _stop(producer: AIOKafkaProducer) -> None:
    # While Kafka is unavailable, the producer would try to write its last messages without an end.
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
