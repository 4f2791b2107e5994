"""Outcome of a run: incidents, drifts, dead letters and baselines from the output topics."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from load.errors import LoadError
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message
from schemas.timestamp import format_timestamp
from schemas.topics import ALERTS, BASELINES, DEAD_LETTERS, DRIFTS
from topologies.kafka import Cluster, read_topic

ContractType = TypeVar("ContractType", bound=Message)

Offsets = dict[str, dict[int, int]]
"""Offset of the next message, by topic and partition."""

OUTPUT_TOPICS = (ALERTS, BASELINES, DEAD_LETTERS, DRIFTS)


@dataclass(slots=True)
class Outcome:
    """Messages on the output topics.

    Attributes
    ----------
    incidents
        Newest revision of each incident, ordered by start time.
    drifts
        Drifts that fired, without duplicates.
    dead_letters
        Number of dead letters by step and reason.
    baselines
        Baselines learned during the run, in the order in which they became ready.
    """

    incidents: list[Incident] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    dead_letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    baselines: list[Baseline] = field(default_factory=list)

    @staticmethod
    async def read_ends(cluster: Cluster) -> Offsets:
        """Read the end offsets of the output topics. The outcome of a run that begins now starts at these offsets.

        Raises
        ------
        BrokerUnreachable, RightMissing
            If the cluster cannot be reached, or if the user may not read an output topic.
        """
        consumer = AIOKafkaConsumer(*OUTPUT_TOPICS, **cluster.client_options(), group_id=None)
        try:
            with cluster.requiring("Read"):
                async with cluster.connecting():
                    await consumer.start()
                ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
        except (KafkaError, OSError) as error:
            raise LoadError(
                f"Kafka at {cluster} stopped answering: {error}: check that Kafka is still running"
            ) from error
        finally:
            await asyncio.gather(consumer.stop(), return_exceptions=True)  # it can raise CancelledError by itself
        offsets: Offsets = {}
        for partition, end in ends.items():
            offsets.setdefault(partition.topic, {})[partition.partition] = end
        return offsets

    @classmethod
    async def collect(cls, cluster: Cluster, since: Offsets | None = None) -> "Outcome":
        """Read the output topics from the given offsets, or from the beginning."""
        outcome = cls()
        newest: dict[str, Incident] = {}
        async for value in _read_values(cluster, ALERTS, since):
            incident = _parse(Incident, value)
            known = newest.get(incident.incident_id)
            if known is None or incident.revision >= known.revision:
                newest[incident.incident_id] = incident
        outcome.incidents = sorted(newest.values(), key=lambda incident: (incident.started_at, incident.incident_id))
        async for value in _read_values(cluster, DRIFTS, since):
            if b'"type":"tick"' in value:
                continue
            drift = _parse(Drift, value)
            if drift.state == "firing":
                outcome.drifts.append(drift)
        async for value in _read_values(cluster, DEAD_LETTERS, since):
            letter = _parse(DeadLetter, value)
            outcome.dead_letters[letter.step, letter.reason] += 1
        async for value in _read_values(cluster, BASELINES, since):
            baseline = _parse(Baseline, value)
            if baseline.source == "live":
                outcome.baselines.append(baseline)
        outcome.baselines.sort(key=lambda baseline: (baseline.learned_to, baseline.subject))
        return outcome

    def to_json(self) -> dict[str, Any]:
        """Return the outcome for ``--json``. Messages have the same form as on their topics."""
        return {
            "incidents": [orjson.loads(incident.to_json()) for incident in self.incidents],
            "drifts": [orjson.loads(drift.to_json()) for drift in self.drifts],
            "dead_letters": {f"{step}: {reason}": count for (step, reason), count in sorted(self.dead_letters.items())},
            "baselines": [
                {
                    "subject": baseline.subject,
                    "source": baseline.source,
                    "baseline_version": baseline.baseline_version,
                    "learned_from": format_timestamp(baseline.learned_from),
                    "ready_at": format_timestamp(baseline.learned_to),
                    "records": baseline.records,
                    "signals": sorted(baseline.signals),
                }
                for baseline in self.baselines
            ],
        }


async def _read_values(cluster: Cluster, topic: str, since: Offsets | None) -> AsyncGenerator[bytes]:
    starts = (since or {}).get(topic, {})
    async with aclosing(read_topic(cluster, topic)) as messages:
        async for message in messages:
            if message.value is not None and message.offset >= starts.get(message.partition, 0):
                yield message.value


def _parse(contract: type[ContractType], value: bytes) -> ContractType:
    try:
        return contract.from_json(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise LoadError(
            f"a message does not match the contract {contract.__name__} ({first['loc']}: {first['msg']}): "
            "check that no other program writes to this topic"
        ) from error
