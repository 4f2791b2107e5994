"""Failures of a checkpoint: what Kafka refused, the topic or group, and the remedy.

Three kinds of failure need different actions. If Kafka refuses a message (:class:`MessagesRefused`), it would refuse it
again, so the message must be replaced. A refused topic, group or transactional id needs an administrator, and the
partition waits (:class:`CheckpointFailed`). If a broker is unavailable, it is enough to wait.
"""

from aiokafka import errors

from topologies.errors import DriftwireError
from topologies.kafka import Cluster

MESSAGE_ERROR_CODES = frozenset({2, 10, 18, 87})
"""Kafka's error codes for the content of a message: corrupt, too large (also as a batch), invalid record. The same
message would be refused again. An invalid time (32) is not among them, because it comes from the clock of this
machine."""

_TOPIC_PROBLEMS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (errors.UnknownTopicOrPartitionError,),
        "topic {topic} or a partition of it does not exist: create the topics of driftwire again",
    ),
    ((errors.KafkaStorageError,), "Kafka cannot store messages of topic {topic}: check the disks of the brokers"),
    (
        (errors.NotEnoughReplicasError, errors.NotEnoughReplicasAfterAppendError),
        "topic {topic} has too few in-sync replicas: check the brokers",
    ),
    (
        (errors.InvalidTimestampError,),
        "Kafka refuses the timestamps of messages for topic {topic}: set the clock of this machine",
    ),
)
"""Sentences about errors that concern a topic."""


class CheckpointFailed(Exception):
    """A checkpoint was not committed, or its outcome is unknown. The message states the reason and the action."""


class MessagesRefused(CheckpointFailed):
    """Kafka refused the content of messages.

    Attributes
    ----------
    indices
        Positions of the refused messages in the checkpoint. Messages in one batch are refused together.
    """

    def __init__(self, text: str, indices: list[int]) -> None:
        super().__init__(text)
        self.indices = indices


def describe_refusal(
    error: BaseException,
    cluster: Cluster,
    *,
    topic: str = "",
    right: str = "Write",
    group: str = "",
    transactional_id: str = "",
) -> str:
    """Return a sentence about a Kafka error: what was refused, and what to do.

    Parameters
    ----------
    error
        The error of aiokafka.
    cluster
        The Kafka cluster, whose user may lack a permission.
    topic, right
        The topic of the refused request, and the permission that the request needs. If the error names topics, these
        are used instead.
    group, transactional_id
        Other resources of the refused request.

    >>> cluster = Cluster("127.0.0.1:9092")
    >>> describe_refusal(errors.TopicAuthorizationFailedError({"driftwire.drifts"}), cluster)
    'Write permission on topic driftwire.drifts is missing: grant it to the user of this client (see docs/security.md)'
    >>> describe_refusal(errors.KafkaStorageError(), cluster, topic="driftwire.drifts")
    'Kafka cannot store messages of topic driftwire.drifts: check the disks of the brokers'
    """
    if isinstance(error.__cause__, errors.TopicAuthorizationFailedError):  # aiokafka does not expect it for offsets
        error, right = error.__cause__, "Read"
    if isinstance(error, DriftwireError):  # for example a password file that cannot be read
        return str(error)
    for kind, needed, resource in (
        (errors.TopicAuthorizationFailedError, right, topic),
        (errors.GroupAuthorizationFailedError, "Read", group),
        (errors.TransactionalIdAuthorizationFailed, "Write", transactional_id),
    ):
        if isinstance(error, kind):
            return cluster.describe_missing_right(error, needed, *(() if error.args else (resource,)))
    for kinds, text in _TOPIC_PROBLEMS:
        if isinstance(error, kinds):
            return text.format(topic=topic)
    if isinstance(error, errors.KafkaConnectionError):
        return "Kafka is not reachable: check the brokers and the network"
    if isinstance(error, TimeoutError):
        return "Kafka did not answer in time: check the brokers"
    where = f" for topic {topic}" if topic else ""
    return f"Kafka reported an error{where}: {error!r}"
