"""Transactions of one transactional id, with a producer that is replaced after any unanswered request.

aiokafka leaves two problems to its caller:

- A refused message fails its future, but the transaction can still be committed without that message. Therefore all
  futures are awaited before the offsets and the end of the transaction are sent.
- aiokafka repeats a request to the transaction coordinator if there was no answer. A delayed copy of the first request
  could then end a later transaction. Therefore a producer sends nothing more after such a request. A new producer with
  the same transactional id gets a new epoch, and Kafka refuses the delayed copy.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

from topologies.kafka import Cluster
from topologies.runtime.checkpoint.refusals import (
    MESSAGE_ERROR_CODES,
    CheckpointFailed,
    MessagesRefused,
    describe_refusal,
)

TRANSACTION_TIMEOUT_MS = 20_000
"""Milliseconds after which the broker aborts the transaction of an owner that has ended."""

COMMIT_TIMEOUT_S = 15.0
"""Maximum seconds of a transaction. It is below the broker's limit, so the runtime times out first."""

START_TIMEOUT_S = 15.0
"""Maximum seconds to connect and get a producer epoch."""

REQUEST_TIMEOUT_MS = 10_000
"""Maximum milliseconds until Kafka answers a request."""

BATCH_BYTES_MAX = 256 * 1024
"""Maximum size of a batch with several messages, in bytes."""

CLOSE_TIMEOUT_S = 5.0
"""Maximum seconds to wait for a producer to close. After this time it closes in the background."""

_COORDINATOR_REQUESTS = (AddPartitionsToTxnRequest, AddOffsetsToTxnRequest, TxnOffsetCommitRequest, EndTxnRequest)

_closing: set[asyncio.Task[None]] = set()


class TransactionMessage(NamedTuple):
    """A message of a transaction, with its topic partition."""

    source: TopicPartition
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    def append_to(self, builder: BatchBuilder) -> bool:
        """Append the message to a batch. Return False if the batch is full. The first message always fits."""
        return builder.append(key=self.key, value=self.value, timestamp=None, headers=self.headers) is not None


class _Batch(NamedTuple):
    """A sent batch: its topic partition, the positions of its messages, and the future of its delivery."""

    source: TopicPartition
    indices: list[int]
    delivery: asyncio.Future[Any]


class ProducerStopped(KafkaError):
    """The producer sends nothing more, because an earlier request got no answer or the producer is closed."""


class TransactionalProducer:
    """Producer of one transactional id. After any error it must be closed and replaced.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    transactional_id
        The transactional id. A producer that starts later with the same id fences this producer.
    """

    def __init__(self, cluster: Cluster, transactional_id: str) -> None:
        self._cluster = cluster
        self._transactional_id = transactional_id
        self._producer = AIOKafkaProducer(
            **cluster.client_options(),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES_MAX,
        )
        self._guard = _RequestGuard(self._producer.client)

    async def start(self) -> None:
        """Connect and fence an earlier producer. Kafka aborts or completes the open transaction of that producer.

        Raises
        ------
        CheckpointFailed
            If Kafka does not answer in time, or if permission for the transactional id is missing.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._producer.start()
        except TimeoutError as error:
            raise CheckpointFailed(
                f"Kafka gave no producer epoch for {self._transactional_id} within {START_TIMEOUT_S:g} s: its last "
                "transaction may be incomplete; check the brokers and the topics of the transaction"
            ) from error
        except KafkaError as error:
            raise CheckpointFailed(self._describe(error)) from error

    async def write(
        self,
        messages: Sequence[TransactionMessage],
        inputs: Mapping[TopicPartition, int],
        group: str,
        *,
        separate: Collection[int] = (),
    ) -> int | None:
        """Write messages and input offsets in one transaction, and return the offset of the last message, if known.

        Parameters
        ----------
        messages
            The messages, in order, at least one.
        inputs, group
            Next offset by input partition, and the consumer group.
        separate
            Positions of the messages that are sent in separate batches, so Kafka can refuse them individually.

        Raises
        ------
        MessagesRefused
            If Kafka refuses the content of messages. Nothing is committed.
        ProducerFenced
            If another producer with the same transactional id has started. Nothing is committed.
        CheckpointFailed
            If the transaction failed for another reason, or if its outcome is unknown.
        """
        work = asyncio.create_task(self._write(messages, inputs, group, frozenset(separate)))
        try:
            waiting: set[asyncio.Future[Any]] = {work, self._guard.doubt}
            await asyncio.wait(waiting, timeout=COMMIT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return await work
        except BaseException:
            self._guard.is_stopped = True
            raise
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        self._guard.is_stopped = True
        if self._guard.doubt.done():
            raise CheckpointFailed(
                f"Kafka did not answer {self._guard.doubt.result()}, so the outcome of the transaction is unknown"
            )
        raise CheckpointFailed(self._describe_delay())

    async def close(self) -> None:
        """Close the producer. Kafka aborts an open transaction when the next producer starts or after a timeout."""
        self._guard.is_stopped = True
        closing = asyncio.create_task(self._close())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            await self._producer.stop()

    async def _write(
        self,
        messages: Sequence[TransactionMessage],
        inputs: Mapping[TopicPartition, int],
        group: str,
        separate: frozenset[int],
    ) -> int | None:
        batches: list[_Batch] = []
        try:
            await self._producer.begin_transaction()
            await self._check_partitions({message.source for message in messages})
            await self._send(messages, separate, batches)
            await asyncio.wait([batch.delivery for batch in batches])
            self._raise_refusals(messages, batches)
            if inputs:
                await self._producer.send_offsets_to_transaction(dict(inputs), group)
            await self._producer.commit_transaction()
        except (ProducerFenced, InvalidProducerEpoch) as error:
            # The other producer is usually that of another worker. It can also be an earlier one of this worker whose start
            # Kafka completed late.
            raise ProducerFenced(
                f"another producer with the transactional id {self._transactional_id} has started, or Kafka has aborted the "
                "transaction after its time limit"
            ) from error
        except KafkaError as error:
            topic = self._guard.refused_input or ", ".join(sorted({partition.topic for partition in inputs}))
            raise CheckpointFailed(self._describe(error, topic=topic, group=group)) from error
        except IllegalOperation as error:  # aiokafka has noted why the transaction cannot continue
            raise CheckpointFailed(await self._describe_abort()) from error
        last = batches[-1]
        base_offset = last.delivery.result().offset
        return base_offset + len(last.indices) - 1 if base_offset >= 0 else None

    async def _send(
        self, messages: Sequence[TransactionMessage], separate: frozenset[int], batches: list[_Batch]
    ) -> None:
        """Send messages in batches, and append each sent batch to ``batches``. The last message is in the last batch."""
        builders: dict[TopicPartition, tuple[BatchBuilder, list[int]]] = {}

        async def send(source: TopicPartition) -> None:
            if source in builders:
                builder, indices = builders.pop(source)
                delivery = await self._producer.send_batch(builder, source.topic, partition=source.partition)
                delivery.add_done_callback(_retrieve_exception)
                batches.append(_Batch(source, indices, delivery))

        for index, message in enumerate(messages):
            source = message.source
            if index in separate:
                await send(source)
            if source not in builders or not message.append_to(builders[source][0]):
                await send(source)
                builders[source] = (self._producer.create_batch(), [])
                message.append_to(builders[source][0])
            builders[source][1].append(index)
            if index in separate:
                await send(source)
        last_source = messages[-1].source
        for source in [*(source for source in builders if source != last_source), last_source]:
            await send(source)

    async def _describe_abort(self) -> str:
        try:
            await self._producer.commit_transaction()
        except KafkaError as error:
            return self._describe(error)
        return "Kafka ended the transaction early"

    def _raise_refusals(self, messages: Sequence[TransactionMessage], batches: Sequence[_Batch]) -> None:
        """Raise the most important error of the batches, if there is one."""
        failed = [(batch, error) for batch in batches if (error := batch.delivery.exception()) is not None]
        for _, error in failed:
            if isinstance(error, (ProducerFenced, InvalidProducerEpoch)):
                raise error
        for batch, error in failed:
            # Kafka still expects the sequence number of a refused batch, so it refuses the following batches too.
            is_consequence = isinstance(error, OutOfOrderSequenceNumber)
            code = self._guard.last_error_codes.get((batch.source.topic, batch.source.partition))
            if code in MESSAGE_ERROR_CODES and not is_consequence:
                raise MessagesRefused(
                    _describe_refused_messages([messages[i] for i in batch.indices], error), batch.indices
                )
        # If permission for one topic is missing, Kafka also refuses messages for other topics, with another error.
        for batch, error in sorted(failed, key=lambda item: not isinstance(item[1], TopicAuthorizationFailedError)):
            raise CheckpointFailed(self._describe(error, topic=batch.source.topic)) from error

    async def _check_partitions(self, sources: Collection[TopicPartition]) -> None:
        """Raise an error for a topic or partition that does not exist. aiokafka would wait indefinitely."""
        for topic, partition in sorted(sources):
            try:
                known = await self._producer.partitions_for(topic)
            except UnknownTopicOrPartitionError as error:
                if not await self._producer.client.force_metadata_update():
                    raise CheckpointFailed(self._describe(KafkaConnectionError())) from error
                known = set()
            if partition not in known:
                raise CheckpointFailed(self._describe(UnknownTopicOrPartitionError(), topic=f"{topic}[{partition}]"))

    def _describe(self, error: BaseException, *, topic: str = "", group: str = "") -> str:
        return describe_refusal(error, self._cluster, topic=topic, group=group, transactional_id=self._transactional_id)

    def _describe_delay(self) -> str:
        """Return a sentence about a transaction that did not end in time."""
        reasons = [
            self._describe(for_code(code)(), topic=topic) for (topic, _), code in self._guard.last_error_codes.items()
        ]
        limit = f"Kafka did not complete the transaction within {COMMIT_TIMEOUT_S:g} s"
        return f"{limit}: {reasons[-1]}" if reasons else f"{limit}: check the brokers and the topics of the transaction"


class _RequestGuard:
    """Guard for a producer's client. It blocks all requests after an unanswered request.

    Attributes
    ----------
    doubt
        Future with the name of the request to the transaction coordinator that got no answer.
    is_stopped
        True if the producer must not send anything more.
    last_error_codes
        Last error code of each topic and partition to which Kafka refused a message.
    refused_input
        Topic whose input offset Kafka refused most recently, or nothing.
    """

    def __init__(self, client: Any) -> None:
        self.doubt: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_stopped = False
        self._send = client.send
        self.last_error_codes: dict[tuple[str, int], int] = {}
        self.refused_input = ""
        client.send = self.send

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send a request unless the producer is stopped."""
        if self.is_stopped:
            raise ProducerStopped
        try:
            response = await self._send(node_id, request, **options)
        except NodeNotReadyError:  # nothing was sent
            raise
        except BaseException:
            if isinstance(request, _COORDINATOR_REQUESTS):
                self._stop(type(request).__name__.removesuffix("Request"))
            raise
        if isinstance(request, ProduceRequest):
            self._note_errors(response)
        elif isinstance(request, TxnOffsetCommitRequest):  # aiokafka drops the topic
            refused = [topic for topic, partitions in response.errors if any(code for _, code in partitions)]
            self.refused_input = ", ".join(refused)
        return response

    def _note_errors(self, response: Any) -> None:
        for topic, partitions in response.topics:
            for partition, code, *_ in partitions:
                if code == 0:
                    self.last_error_codes.pop((topic, partition), None)
                elif code != OutOfOrderSequenceNumber.errno:  # follows from an earlier refusal
                    self.last_error_codes[topic, partition] = code

    def _stop(self, request_name: str) -> None:
        self.is_stopped = True
        if not self.doubt.done():
            self.doubt.set_result(request_name)


def _retrieve_exception(delivery: asyncio.Future[Any]) -> None:
    """Retrieve the error of a delivery that nobody awaits, because asyncio would otherwise log it with a traceback."""
    if not delivery.cancelled():
        delivery.exception()


def _describe_refused_messages(messages: Sequence[TransactionMessage], error: BaseException) -> str:
    size = sum(len(message.key or b"") + len(message.value or b"") for message in messages)
    what = "a message" if len(messages) == 1 else f"a batch of {len(messages)} messages"
    return f"Kafka refused {what} of {size} bytes for topic {messages[0].source.topic} ({type(error).__name__})"
