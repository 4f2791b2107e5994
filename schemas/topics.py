"""The table of topics, with the messages, key, retention, writers and readers of every topic."""

from dataclasses import dataclass
from typing import Literal

from schemas.baseline import Baseline
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message
from schemas.notice import Notice
from schemas.notification import Notification
from schemas.record import Record
from schemas.relearn import Relearn
from schemas.tick import Tick

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MEBIBYTE = 1024 * 1024

OF_INPUTS = 0
"""Number of partitions of a topic that has as many as the largest input topic of its step."""

Cleanup = Literal["delete", "compact"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract.

    ``partitions`` is None if the number is configured (for the records topic and the topics that are co-partitioned
    with it), and :data:`OF_INPUTS` for the checkpoints of intake. ``messages`` is empty for checkpoints, which are
    internal to a step. The steps in ``optional_for`` use the topic only with certain settings.
    """

    name: str
    messages: tuple[type[Message], ...]
    key: str
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    version: int = 1
    partitions: int | None = 1
    cleanup: Cleanup = "delete"
    retention_ms: int | None = None
    message_bytes_max: int = MEBIBYTE
    append_time: bool = False
    optional_for: tuple[str, ...] = ()


RECORDS = "driftwire.records"
DEPLOYMENTS = "driftwire.deployments"
COMMANDS = "driftwire.commands"
BASELINES = "driftwire.baselines"
DRIFTS = "driftwire.drifts"
ALERTS = "driftwire.alerts"
NOTIFICATIONS = "driftwire.notifications"
DEAD_LETTERS = "driftwire.dead-letters"


def checkpoints_topic(step: str) -> str:
    """Return the name of the compacted topic that contains a step's state for each input partition."""
    return f"driftwire.{step}-checkpoints"


def _checkpoints(step: str, *, key: str = "part", partitions: int | None = 1) -> Topic:
    return Topic(
        checkpoints_topic(step),
        (),
        key=key,
        partitions=partitions,
        cleanup="compact",
        written_by=(step,),
        read_by=(step,),
    )


TOPICS: tuple[Topic, ...] = (
    Topic(
        RECORDS,
        (Record,),
        key="subject, subject#n, or none; it only selects the partition",
        partitions=None,
        retention_ms=7 * DAY_MS,
        message_bytes_max=8 * MEBIBYTE,
        written_by=("serving systems", "intake", "http"),
        read_by=("detect",),
        append_time=True,
    ),
    Topic(
        DEPLOYMENTS,
        (Deployment,),
        key="deployment_id",
        retention_ms=90 * DAY_MS,
        written_by=("CI/CD pipelines", "driftwire deployed", "http"),
        read_by=("correlate", "route"),
        append_time=True,
        optional_for=("route",),
    ),
    Topic(
        COMMANDS,
        (Command,),
        key="incident_id, or command_id for a silence",
        retention_ms=90 * DAY_MS,
        written_by=("people, by driftwire", "http"),
        read_by=("correlate", "route"),
        append_time=True,
        optional_for=("http",),
    ),
    Topic(
        BASELINES,
        (Baseline, Relearn),
        key="subject/baseline_version, subject/renewed/partition, or subject/relearn_id",
        cleanup="compact",
        message_bytes_max=8 * MEBIBYTE,
        written_by=("detect", "correlate", "driftwire baseline publish and accept"),
        read_by=("detect",),
        append_time=True,
    ),
    Topic(
        DRIFTS,
        (Drift, Tick),
        key="drift_id; a tick has none",
        retention_ms=7 * DAY_MS,
        written_by=("detect",),
        read_by=("correlate",),
    ),
    Topic(
        ALERTS,
        (Incident,),
        key="incident_id",
        cleanup="compact",
        written_by=("correlate",),
        read_by=("route", "consumers"),
    ),
    Topic(
        NOTIFICATIONS,
        (Notification, Notice),
        key="notification_id",
        retention_ms=90 * DAY_MS,
        written_by=("route",),
        read_by=("consumers",),
    ),
    Topic(
        DEAD_LETTERS,
        (DeadLetter,),
        key="dead_letter_id",
        retention_ms=14 * DAY_MS,
        message_bytes_max=16 * MEBIBYTE,
        written_by=("intake", "http", "detect", "correlate", "route"),
        read_by=("people",),
    ),
    _checkpoints("intake", partitions=OF_INPUTS),
    _checkpoints("detect", key="subject and part", partitions=None),
    _checkpoints("correlate"),
    _checkpoints("route"),
)


def topic(name: str) -> Topic:
    """Return the row of a topic. Raise ``KeyError`` if the contract has no such topic."""
    return {row.name: row for row in TOPICS}[name]
