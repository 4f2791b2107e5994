"""Create the contract's topics on a broker, add partitions, and reject topics with the wrong number of partitions."""

import asyncio
from collections.abc import Collection

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.topics import MEBIBYTE, OF_INPUTS, RECORDS, TOPICS, Topic
from topologies.errors import BrokerError, InputTopicMissing, RightMissing, TopicError
from topologies.kafka import Cluster

CHECKPOINT_SEGMENT_BYTES = 64 * MEBIBYTE
CHECKPOINT_SEGMENT_MS = 60_000
CHECKPOINT_DIRTY_RATIO = 0.1

READY_TIMEOUT_S = 30.0
RETRY_S = 0.1

STEPS_WITHOUT_GROUP = ("http",)
"""Steps that read no topic and write without transactions."""

TRANSACTION_COORDINATOR = 1
"""Kafka's code for a transaction coordinator."""


def topic_settings(topic: Topic) -> dict[str, str]:
    """Return the broker settings of a topic.

    >>> from schemas.topics import RECORDS, topic
    >>> topic_settings(topic(RECORDS))["message.timestamp.type"]
    'LogAppendTime'
    """
    settings = {
        "cleanup.policy": topic.cleanup,
        "max.message.bytes": str(topic.message_bytes_max),
        "message.timestamp.type": "LogAppendTime" if topic.append_time else "CreateTime",
    }
    if topic.retention_ms is not None:
        settings["retention.ms"] = str(topic.retention_ms)
    if not topic.messages:
        # A restart reads the full checkpoint topic. Small segments and early compaction keep it short.
        settings["segment.bytes"] = str(CHECKPOINT_SEGMENT_BYTES)
        settings["segment.ms"] = str(CHECKPOINT_SEGMENT_MS)
        settings["min.cleanable.dirty.ratio"] = str(CHECKPOINT_DIRTY_RATIO)
    return settings


async def create_topics(
    cluster: Cluster,
    records_partitions: int,
    replication_factor: int,
    *,
    step: str | None = None,
    optional_topics: Collection[str] = (),
    input_topics: Collection[str] = (),
    app_id: str = "driftwire",
    timeout_s: float = READY_TIMEOUT_S,
) -> list[str]:
    """Create the missing topics, and wait until all partitions have a leader.

    Several workers may call this function at the same time. Existing topics are not changed.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    records_partitions, replication_factor
        Partitions of the records topic and its checkpoints, and copies of each partition.
    step
        The step that needs the topics. Other topics are ignored, and the step's permissions are checked. If None, all
        topics are created.
    optional_topics
        Topics that the step uses only with certain settings, and uses with the current ones.
    input_topics
        Topics of other services that the step reads. They are never created, and determine the partitions of the
        checkpoints of intake.
    app_id
        Prefix of the consumer groups.
    timeout_s
        Maximum seconds until all partitions have a leader.

    Returns
    -------
    list of str
        Names of the created topics.

    Raises
    ------
    BrokerUnreachable
        If no broker of the cluster answers.
    RightMissing
        If the user may not use a topic, the group or the transactional ids of the step, or may not create a topic.
    BrokerError
        If the broker refuses to create a topic.
    InputTopicMissing
        If a topic of another service does not exist.
    TopicError
        If a topic exists with another number of partitions.
    """
    rows = [row for row in TOPICS if step is None or step in (*row.written_by, *row.read_by)]
    rows = [row for row in rows if step not in row.optional_for or row.name in optional_topics]
    if step is None:
        rows = [row for row in rows if row.partitions != OF_INPUTS]
    admin = AIOKafkaAdminClient(**cluster.client_options(), request_timeout_ms=int(timeout_s * 1000))
    try:
        async with cluster.connecting(timeout_s=timeout_s):
            await admin.start()
        inputs_max = await _largest_input(cluster, input_topics) if input_topics else 0
        existing = await _leaders(cluster, rows, step)
        partition_counts = {row.name: records_partitions if row.partitions is None else row.partitions for row in rows}
        for row in rows:
            if row.partitions == OF_INPUTS:
                count = len(existing.get(row.name, []))
                partition_counts[row.name] = max(inputs_max, count)
                if 0 < count < inputs_max:
                    await _grow(cluster, admin, row.name, inputs_max)
                    existing = await _leaders(cluster, rows, step)
        _reject_other_counts(existing, partition_counts)
        missing = [row for row in rows if row.name not in existing]
        created = await _create(cluster, admin, missing, partition_counts, replication_factor) if missing else []
        await _wait_for_leaders(cluster, rows, step, partition_counts, timeout_s)
        if step not in STEPS_WITHOUT_GROUP:
            await _wait_for_coordinators(cluster, admin, step, app_id, timeout_s)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(f"cannot create the topics at {cluster}: {str(error) or type(error).__name__}") from error
    finally:
        await admin.close()
    return created


async def grow_topics(
    cluster: Cluster, records_partitions: int, *, timeout_s: float = READY_TIMEOUT_S
) -> dict[str, tuple[int, int]]:
    """Add partitions to the records topic and to the topics that are co-partitioned with it.

    The records topic is last, so its new partitions already have checkpoint partitions when workers get them.

    Returns
    -------
    dict
        Old and new number of partitions, by topic. Topics that had this number already are absent.

    Raises
    ------
    BrokerUnreachable
        If no broker of the cluster answers.
    RightMissing
        If the user may not describe or alter a topic.
    BrokerError
        If the broker refuses to add the partitions.
    TopicError
        If a topic does not exist or has more partitions. Kafka cannot remove partitions.
    """
    rows = sorted((row for row in TOPICS if row.partitions is None), key=lambda row: row.name == RECORDS)
    names = [row.name for row in rows]
    admin = AIOKafkaAdminClient(**cluster.client_options(), request_timeout_ms=int(timeout_s * 1000))
    try:
        async with cluster.connecting(timeout_s=timeout_s):
            await admin.start()
        existing = {name: len(leaders) for name, leaders in (await _leaders(cluster, rows, None)).items()}
        for name in names:
            if name not in existing:
                raise TopicError(
                    f"Kafka at {cluster} has no topic {name}: start driftwire on it first with driftwire up"
                )
            if existing[name] > records_partitions:
                raise TopicError(
                    f"topic {name} has {existing[name]} partitions: give a larger number, because Kafka cannot remove "
                    "partitions"
                )
        grown = {name: (existing[name], records_partitions) for name in names if existing[name] < records_partitions}
        for name in grown:
            await _grow(cluster, admin, name, records_partitions)
        await _wait_for_leaders(cluster, rows, None, dict.fromkeys(names, records_partitions), timeout_s)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(f"cannot add partitions at {cluster}: {str(error) or type(error).__name__}") from error
    finally:
        await admin.close()
    return grown


async def _largest_input(cluster: Cluster, topics: Collection[str]) -> int:
    """Return the number of partitions of the largest topic."""
    metadata = await cluster.topic_metadata(topics)
    for name, entry in sorted(metadata.items()):
        error = for_code(entry["error_code"])
        with cluster.requiring("Read", name):
            if error is TopicAuthorizationFailedError:
                raise error
        if error is UnknownTopicOrPartitionError:
            raise InputTopicMissing(
                f"Kafka at {cluster} has no topic {name}: create it, or correct its name in [intake.topics]"
            )
    return max(len(entry["partitions"]) for entry in metadata.values())


async def _grow(cluster: Cluster, admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
    with cluster.requiring("Alter", name):
        await admin.create_partitions({name: NewPartitions(partitions)})


async def _create(
    cluster: Cluster,
    admin: AIOKafkaAdminClient,
    missing: list[Topic],
    partition_counts: dict[str, int],
    replication_factor: int,
) -> list[str]:
    response = await admin.create_topics(
        [
            NewTopic(row.name, partition_counts[row.name], replication_factor, None, topic_settings(row))
            for row in missing
        ]
    )
    created = []
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        with cluster.requiring("Create", name):
            if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
                raise error
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            detail = rest[0] if rest and rest[0] else error.__name__
            raise BrokerError(f"the broker refuses to create {name}: {detail}")
    return created


def _reject_other_counts(existing: dict[str, list[bool]], partition_counts: dict[str, int]) -> None:
    for name, count in partition_counts.items():
        if name in existing and len(existing[name]) != count:
            advice = f", or run driftwire topics grow {count}" if len(existing[name]) < count else ""
            raise TopicError(
                f"topic {name} has {len(existing[name])} partitions but the configuration requires {count}: "
                f"set kafka.records_partitions to the existing number{advice}"
            )


async def _wait_for_leaders(
    cluster: Cluster, rows: list[Topic], step: str | None, partition_counts: dict[str, int], timeout_s: float
) -> None:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        leaders = await _leaders(cluster, rows, step)
        slow = sorted(
            name
            for name, count in partition_counts.items()
            if len(leaders.get(name, [])) < count or not all(leaders[name])
        )
        if not slow:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise BrokerError(
                f"no leader for {', '.join(slow)} after {timeout_s:.0f} s: check that the cluster is healthy"
            )
        await asyncio.sleep(RETRY_S)


async def _wait_for_coordinators(
    cluster: Cluster, admin: AIOKafkaAdminClient, step: str | None, app_id: str, timeout_s: float
) -> None:
    """Wait for the internal topic of consumer groups. Otherwise the first worker to join would log an error.

    For a step, also check its permissions for its group and its first transactional id.
    """
    group = app_id if step is None else f"{app_id}-{step}"
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        try:
            with cluster.requiring("Read", group):
                await admin.find_coordinator(group)
            if step is not None:
                with cluster.requiring("Write", f"{group}-0"):
                    await admin.find_coordinator(f"{group}-0", TRANSACTION_COORDINATOR)
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(RETRY_S)
        except RightMissing:
            if step is None:
                return  # this user runs no step
            raise
        else:
            return


async def _leaders(cluster: Cluster, rows: list[Topic], step: str | None) -> dict[str, list[bool]]:
    """Return one flag per partition of each existing topic: True if the partition has a leader."""
    metadata = await cluster.topic_metadata([row.name for row in rows])
    errors = {name: for_code(entry["error_code"]) for name, entry in metadata.items()}
    for row in rows:
        with cluster.requiring(_needed_right(row, step), row.name):
            if errors[row.name] is TopicAuthorizationFailedError:
                raise TopicAuthorizationFailedError
    return {
        name: [partition["leader"] >= 0 for partition in entry["partitions"]]
        for name, entry in metadata.items()
        if errors[name] is not UnknownTopicOrPartitionError
    }


def _needed_right(topic: Topic, step: str | None) -> str:
    if step is None:
        return "Describe"
    return "Read" if step in topic.read_by else "Write"
