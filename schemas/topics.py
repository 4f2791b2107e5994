"""The table of topics: messages, key, retention, writers and readers of every topic."""

from dataclasses import dataclass
from typing import Literal

from schemas.baseline import Baseline
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message
from schemas.notification import Notification
from schemas.record import Record
from schemas.relearn import Relearn
from schemas.tick import Tick

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MEBIBYTE = 1024 * 1024

Cleanup = Literal["delete", "compact"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract.

    ``partitions`` is None where the installation decides (the records, and topics co-partitioned with them).
    ``messages`` is empty for checkpoints, which are internal to a step.
    """

    name: str
    messages: tuple[type[Message], ...]
    version: int
    key: str
    partitions: int | None
    cleanup: Cleanup
    retention_ms: int | None
    message_bytes_max: int
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    append_time: bool = False


RECORDS = "driftwire.records"
DEPLOYMENTS = "driftwire.deployments"
COMMANDS = "driftwire.commands"
BASELINES = "driftwire.baselines"
DRIFTS = "driftwire.drifts"
ALERTS = "driftwire.alerts"
NOTIFICATIONS = "driftwire.notifications"
DEAD_LETTERS = "driftwire.dead-letters"


def checkpoints_topic(step: str) -> str:
    """Return the compacted topic that holds a step's state per input partition."""
    return f"driftwire.{step}-checkpoints"


TOPICS: tuple[Topic, ...] = (
    Topic(RECORDS, (Record,), 1, "subject, subject#n, or none; it only selects the partition", None, "delete",
          7 * DAY_MS, 8 * MEBIBYTE, ("serving systems",), ("detect",), append_time=True),
    Topic(DEPLOYMENTS, (Deployment,), 1, "deployment_id", 1, "delete", 90 * DAY_MS, MEBIBYTE,
          ("CI/CD pipelines", "driftwire deployed"), ("correlate",)),
    Topic(COMMANDS, (Command,), 1, "incident_id, or command_id for a silence", 1, "delete", 90 * DAY_MS, MEBIBYTE,
          ("people, by driftwire",), ("correlate", "route")),
    Topic(BASELINES, (Baseline, Relearn), 1, "subject/baseline_version, or subject/relearn_id", 1, "compact", None,
          8 * MEBIBYTE, ("detect", "correlate", "driftwire baseline publish and accept"), ("detect",)),
    Topic(DRIFTS, (Drift, Tick), 1, "drift_id; a tick has none", 1, "delete", 7 * DAY_MS, MEBIBYTE,
          ("detect",), ("correlate",)),
    Topic(ALERTS, (Incident,), 1, "incident_id", 1, "compact", None, MEBIBYTE, ("correlate",), ("route", "consumers")),
    Topic(NOTIFICATIONS, (Notification,), 1, "notification_id", 1, "delete", 90 * DAY_MS, MEBIBYTE,
          ("route",), ("consumers",)),
    Topic(DEAD_LETTERS, (DeadLetter,), 1, "dead_letter_id", 1, "delete", 14 * DAY_MS, 16 * MEBIBYTE,
          ("detect", "correlate", "route"), ("people",)),
    Topic(checkpoints_topic("detect"), (), 1, "subject and part", None, "compact", None, MEBIBYTE,
          ("detect",), ("detect",)),
    Topic(checkpoints_topic("correlate"), (), 1, "part", 1, "compact", None, MEBIBYTE, ("correlate",), ("correlate",)),
    Topic(checkpoints_topic("route"), (), 1, "part", 1, "compact", None, MEBIBYTE, ("route",), ("route",)),
)  # fmt: skip


def topic(name: str) -> Topic:
    """Return the row of a topic. Raises ``KeyError`` if the contract has no such topic."""
    return {row.name: row for row in TOPICS}[name]
