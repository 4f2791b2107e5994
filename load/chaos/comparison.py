"""Outcomes of runs, read from Kafka, and the comparison of the disturbed run with the undisturbed run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import TopicPartition

from load.chaos.workload import PARTITIONS
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from schemas.topics import ALERTS, BASELINES, DEAD_LETTERS, DRIFTS, NOTIFICATIONS, RECORDS
from topologies.kafka import Cluster, committed_consumer, read_topic
from topologies.runtime import read_checkpoint

Content = dict[str, Any]

IGNORED_ALERT_FIELDS = ("revision", "change")
"""Fields of an incident that depend on the order in which messages of several partitions arrive."""

ACCOUNTED = ("used", "duplicates", "held", "dead_letters")
DIFFERENCES_MAX = 20
"""Maximum number of differences of one kind in a report."""


@dataclass(slots=True)
class RunOutcome:
    """Outcome of a run, read from Kafka.

    Attributes
    ----------
    drifts, alerts, notifications, dead_letters
        Messages of the topics in order, without ticks.
    counts
        Record counts by partition, from detect's state as its next worker would restore it.
    ends
        End offset of each partition of the records topic.
    """

    drifts: list[Content] = field(default_factory=list)
    alerts: list[Content] = field(default_factory=list)
    notifications: list[Content] = field(default_factory=list)
    dead_letters: list[Content] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    @classmethod
    async def read(cls, cluster: Cluster, settings: DetectSettings) -> "RunOutcome":
        """Read the outcome of a run that has no lag."""
        outcome = cls(
            drifts=[content for content in await read_contents(cluster, DRIFTS) if content["type"] == "drift"],
            alerts=await read_contents(cluster, ALERTS),
            notifications=await read_contents(cluster, NOTIFICATIONS),
            dead_letters=await read_contents(cluster, DEAD_LETTERS),
        )
        baselines = [message async for message in read_topic(cluster, BASELINES)]
        for partition in range(PARTITIONS):
            step = DetectStep(partition, settings, replay=True)
            for baseline in baselines:
                step.control(baseline)
            stored = await read_checkpoint(cluster, "detect", partition)
            list(step.restore(stored.parts.items()))
            outcome.counts.append(step.counts())
        async with committed_consumer(cluster) as consumer:
            ends = await consumer.end_offsets([TopicPartition(RECORDS, number) for number in range(PARTITIONS)])
        outcome.ends = {partition.partition: end for partition, end in ends.items()}
        return outcome

    def incidents(self) -> dict[str, Content]:
        """Return the last revision of each incident without the fields that may differ between runs."""
        return {
            content["incident_id"]: {name: value for name, value in content.items() if name not in IGNORED_ALERT_FIELDS}
            for content in self.alerts
        }

    def count_unaccounted(self, records: int) -> int:
        """Return the number of sent records that are not counted as used, duplicate, held or dead-lettered."""
        counted = [counts.get("records", 0) for counts in self.counts]
        unaccounted = [
            abs(total - sum(counts[name] for name in ACCOUNTED))
            for total, counts in zip(counted, self.counts, strict=True)
        ]
        return sum(unaccounted) + abs(records - sum(counted))

    def repeated_outputs(self) -> dict[str, list[Any]]:
        """Return the identities of outputs that were written more than once, by kind."""
        return {
            kind: [identity for identity, count in Counter(ids).items() if count > 1]
            for kind, ids in self.output_ids().items()
        }

    def output_ids(self) -> dict[str, list[Any]]:
        """Return the identities of all outputs by kind."""
        return {
            "drift": [(content["drift_id"], content["sequence"]) for content in self.drifts],
            "alert": [(content["incident_id"], content["revision"]) for content in self.alerts],
            "notification": [content["notification_id"] for content in self.notifications],
            "dead letter": [content["dead_letter_id"] for content in self.dead_letters],
        }

    def decided_incidents(self) -> set[str]:
        """Return the ids of the incidents of which a receiver was notified, or which were suppressed with a reason.

        An incident may merge into another before a receiver is notified. This depends on the order in which messages of
        several partitions arrive.
        """
        return _find_decided(self.notifications)


async def find_owed_incidents(cluster: Cluster) -> set[str]:
    """Return the ids of the incidents of which no receiver was notified and which were not suppressed."""
    decided = _find_decided(await read_contents(cluster, NOTIFICATIONS))
    return {content["incident_id"] for content in await read_contents(cluster, ALERTS)} - decided


def _find_decided(notifications: Iterable[Content]) -> set[str]:
    return {
        content["incident_id"]
        for content in notifications
        if content["outcome"] != "failed" and content.get("reason_code") != "superseded"
    }


@dataclass(slots=True)
class Comparison:
    """Differences between two runs of the same messages. ``differences`` has one line per difference."""

    alerts_equal: bool = False
    records_unaccounted: int = 0
    outputs_twice: int = 0
    outputs_lost: int = 0
    differences: list[str] = field(default_factory=list)

    def note(self, what: str, items: Iterable[Any]) -> int:
        """Add a line per item, up to a limit, and return the number of items."""
        lines = [f"{what}: {item}" for item in items]
        self.differences += lines[:DIFFERENCES_MAX]
        if len(lines) > DIFFERENCES_MAX:
            self.differences.append(f"{what}: {len(lines) - DIFFERENCES_MAX} more")
        return len(lines)


def compare(expected: RunOutcome, found: RunOutcome, *, records: int, accepted: Iterable[str]) -> Comparison:
    """Compare a disturbed run with an undisturbed run.

    Parameters
    ----------
    expected, found
        The outcomes of the undisturbed and the disturbed run.
    records
        Number of records that were sent.
    accepted
        Notification ids that the receiver of the disturbed run accepted.
    """
    comparison = Comparison()
    incidents, expected_incidents = found.incidents(), expected.incidents()
    comparison.alerts_equal = incidents == expected_incidents
    comparison.note("alert differs", _different_alerts(expected_incidents, incidents))

    comparison.records_unaccounted = found.count_unaccounted(records)
    unequal = [
        f"partition {partition}: {before} without faults, {after} with faults"
        for partition, (before, after) in enumerate(zip(expected.counts, found.counts, strict=True))
        if before != after
    ]
    comparison.note("counts of records differ", unequal)
    if unequal and not comparison.records_unaccounted:
        comparison.records_unaccounted = sum(
            abs(before[name] - after[name])
            for before, after in zip(expected.counts, found.counts, strict=True)
            for name in ACCOUNTED
        )
    if expected.ends != found.ends:
        comparison.note("end offsets of the records differ", [f"{expected.ends} without faults, {found.ends}"])

    for kind, identities in found.repeated_outputs().items():
        comparison.outputs_twice += comparison.note(f"{kind} written twice", identities)
    comparison.outputs_lost = (
        comparison.note("drift lost", _missing(_by_identity(expected.drifts), _by_identity(found.drifts)))
        + comparison.note("dead letter lost", _missing(_letters(expected), _letters(found)))
        + comparison.note("alert lost", expected_incidents.keys() - incidents.keys())
        + comparison.note("notification lost", sorted(expected.decided_incidents() - found.decided_incidents()))
        + comparison.note(
            "notification never received",
            sorted({row["notification_id"] for row in found.notifications if row["outcome"] == "sent"} - set(accepted)),
        )
    )
    comparison.note("drift added", _missing(_by_identity(found.drifts), _by_identity(expected.drifts)))
    comparison.note("dead letter added", _missing(_letters(found), _letters(expected)))
    return comparison


def _missing(expected: dict[Any, Any], found: dict[Any, Any]) -> Iterable[Any]:
    """Yield the identities that are missing from ``found`` or have different content there."""
    return (
        identity if identity not in found else f"{identity} has different content"
        for identity, content in expected.items()
        if found.get(identity) != content
    )


def _different_alerts(expected: dict[str, Content], found: dict[str, Content]) -> Iterable[str]:
    for incident_id in sorted(expected.keys() | found.keys()):
        before, after = expected.get(incident_id), found.get(incident_id)
        if before is None or after is None:
            yield f"{incident_id} exists only {'with' if before is None else 'without'} faults"
        elif before != after:
            names = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
            values = "; ".join(
                f"{name}: {_short(before.get(name))} != {_short(after.get(name))}" for name in sorted(names)
            )
            yield f"{incident_id} in {values}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:160]}..."


def _by_identity(drifts: Sequence[Content]) -> dict[tuple[str, int], Content]:
    return {(drift["drift_id"], drift["sequence"]): drift for drift in drifts}


def _letters(outcome: RunOutcome) -> dict[str, Content]:
    """Return the dead letters by id, without the arrival time, which differs between runs."""
    return {
        letter["dead_letter_id"]: {name: value for name, value in letter.items() if name != "appended_at"}
        for letter in outcome.dead_letters
    }


async def read_contents(cluster: Cluster, name: str) -> list[Content]:
    """Return all committed messages of a topic as JSON values."""
    return [orjson.loads(message.value or b"null") async for message in read_topic(cluster, name)]
