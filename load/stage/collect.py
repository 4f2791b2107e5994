"""What came out at the other end of the path: incidents, drifts, dead letters and baselines, read back from Kafka."""

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
from pipeline.wording import one_line
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message
from schemas.timestamp import format_timestamp
from schemas.topics import ALERTS, BASELINES, DEAD_LETTERS, DRIFTS
from topologies.kafka import read_topic

ContractType = TypeVar("ContractType", bound=Message)

OUTPUTS = (ALERTS, BASELINES, DEAD_LETTERS, DRIFTS)


@dataclass(slots=True)
class Outcome:
    """What a run left behind.

    ``incidents`` are the newest revisions by the order of their start; ``drifts`` those that fired, once each;
    ``baselines`` those that were learned live, by the time they were ready.
    """

    incidents: list[Incident] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    dead_letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    baselines: list[Baseline] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For ``--json``: messages as they are on their topics."""
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


Places = dict[str, dict[int, int]]
"""By topic and partition, the offset that the next message will have."""


async def places(bootstrap: str) -> Places:
    """Where the outputs end now: what comes later belongs to the run that begins."""
    consumer = AIOKafkaConsumer(*OUTPUTS, bootstrap_servers=bootstrap, group_id=None)
    try:
        await consumer.start()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
    except (KafkaError, OSError) as error:
        raise LoadError(f"no Kafka answers at {bootstrap}: start one (driftwire up), or name another") from error
    finally:
        await consumer.stop()
    found: Places = {}
    for partition, end in ends.items():
        found.setdefault(partition.topic, {})[partition.partition] = end
    return found


async def collect(bootstrap: str, since: Places | None = None) -> Outcome:
    """Read what lies on the output topics from ``since`` on; all of it if absent."""
    outcome = Outcome()
    newest: dict[str, Incident] = {}
    async for message in _messages(bootstrap, ALERTS, since):
        incident = _read(Incident, message)
        known = newest.get(incident.incident_id)
        if known is None or incident.revision >= known.revision:
            newest[incident.incident_id] = incident
    outcome.incidents = sorted(newest.values(), key=lambda each: (each.started_at, each.incident_id))
    async for message in _messages(bootstrap, DRIFTS, since):
        if b'"type":"tick"' in message:
            continue
        drift = _read(Drift, message)
        if drift.state == "firing":
            outcome.drifts.append(drift)
    async for message in _messages(bootstrap, DEAD_LETTERS, since):
        letter = _read(DeadLetter, message)
        outcome.dead_letters[letter.step, letter.reason] += 1
    async for message in _messages(bootstrap, BASELINES, since):
        baseline = _read(Baseline, message)
        if baseline.source == "live":
            outcome.baselines.append(baseline)
    outcome.baselines.sort(key=lambda each: (each.learned_to, each.subject))
    return outcome


async def _messages(bootstrap: str, name: str, since: Places | None) -> AsyncGenerator[bytes]:
    starts = (since or {}).get(name, {})
    async with aclosing(read_topic(bootstrap, name)) as messages:
        async for message in messages:
            if message.value is not None and message.offset >= starts.get(message.partition, 0):
                yield message.value


def _read(contract: type[ContractType], value: bytes) -> ContractType:
    try:
        return contract.from_json(value)
    except ValidationError as error:
        raise LoadError(
            f"a message is not a {contract.__name__} ({one_line(error)}): does another program write to the topic?"
        ) from error
