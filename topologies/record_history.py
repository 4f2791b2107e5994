"""Records in a topic as the history from which a baseline is learned."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

from pipeline.json_elements import parse_records
from pipeline.lenient_json import dump_json
from pipeline.step import RawMessage
from schemas.message import AHEAD_MAX_MS
from schemas.timestamp import parse_timestamp
from topologies.kafka import Cluster, read_topic

BATCH_MESSAGES = 1000
"""Number of messages that are read at once."""


def read_record_history(
    cluster: Cluster, topic: str, *, subject: str | None, from_ms: int | None, time_zone: str
) -> Iterator[bytes]:
    """Yield the messages in a topic of records at the time of the call, in order of event time over all partitions.

    Content that is not JSON is always included, because the step rejects and counts it.

    Parameters
    ----------
    cluster, topic
        The Kafka cluster, and the name of the topic.
    subject
        Leave out the records of other subjects. None includes all subjects.
    from_ms
        Unix milliseconds. Messages that were appended before a record of this time could exist are not read.
    time_zone
        IANA name of the time zone of times without an offset, or an empty string.

    Raises
    ------
    BrokerUnreachable, TopicMissing, ReadFailed, RightMissing
        As for :func:`topologies.kafka.read_topic`.
    """

    def time_of(value: bytes) -> int | None:
        for record in parse_records(value):
            with suppress(ValueError, TypeError, KeyError):
                return parse_timestamp(record["timestamp"], time_zone=time_zone or None)
        return None

    # The clock of a sender can be ahead of the clock of Kafka.
    start_ms = None if from_ms is None else from_ms - AHEAD_MAX_MS
    messages = read_topic(cluster, topic, time_of=time_of, start_ms=start_ms)
    with asyncio.Runner() as runner:
        try:
            while batch := runner.run(_next_batch(messages)):
                for message in batch:
                    value = message.value if subject is None else select_subject(message.value or b"", subject)
                    if value is not None:
                        yield value
        finally:
            runner.run(messages.aclose())


def select_subject(value: bytes, subject: str) -> bytes | None:
    """Return a message without the records of other subjects, or None if no record is left.

    >>> select_subject(b'[{"subject": "a", "n": 1}, {"subject": "b"}]', "a"), select_subject(b'{"subject": "b"}', "a")
    (b'[{"subject":"a","n":1}]', None)
    """
    records = parse_records(value)
    selected = [record for record in records if not isinstance(record, dict) or record.get("subject") == subject]
    if len(selected) == len(records):
        return value
    return dump_json(selected) if selected else None


async def _next_batch(messages: AsyncGenerator[RawMessage]) -> list[RawMessage]:
    batch: list[RawMessage] = []
    async for message in messages:
        batch.append(message)
        if len(batch) >= BATCH_MESSAGES:
            break
    return batch
