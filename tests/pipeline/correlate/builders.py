"""Messages for the tests of correlate, with default fields that a test can override."""

from collections.abc import Iterable
from typing import Any

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS, SIGNALS
from pipeline.step import OutputMessage, RawMessage
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message as Contract
from schemas.tick import Tick
from schemas.timestamp import parse_timestamp
from schemas.topics import ALERTS, COMMANDS, DEAD_LETTERS, DEPLOYMENTS, DRIFTS

START = parse_timestamp("2026-11-24T03:12:00Z")
"""When things go wrong."""

SECOND = 1000
MINUTE = 60 * SECOND

AT_ONCE = CorrelateSettings(announce_after_s=0)
"""Default settings of the tests: a P4 is published at once too."""

_SIGNALS = {signal.name: signal for signal in (*SIGNALS, *CATEGORIES, *EVENTS)}
_NORMAL = {"refused": 0.01, "empty": 0.002, "error": 0.005, "index_age_s": 3600.0, "latency_ms": 800.0}


def drift(signal: str = "refused", *, start: int = START, after_s: float = 5, **fields: Any) -> Drift:
    """A drift as detect would send it when it fires ``after_s`` seconds after its start."""
    row = _SIGNALS[signal]
    rate = row.kind == "rate"
    normal = _NORMAL.get(signal, 0.01 if rate else 0.77)
    side = "down" if row.direction == "down" else "up"
    detected_at = start + round(after_s * SECOND)
    values: dict[str, Any] = {
        "drift_id": f"{signal}-{start}-{fields.get('partition', 0)}-{fields.get('subject', 'support-bot')}",
        "state": "firing",
        "subject": "support-bot",
        "partition": 0,
        "signal": signal,
        "layer": row.layer,
        "unit": row.unit,
        "failure_mode": row.failure_mode,
        "channel": "rate" if rate else "location",
        "side": side,
        "tier": {"pages": "page", "tickets": "ticket", "cause": "cause"}[row.role],
        "detector": "page_hinkley",
        "baseline_version": "b-1",
        "started_at": start,
        "detected_at": detected_at,
        "updated_at": detected_at,
        "normal": normal,
        "now": 0.091 if rate else normal * (1.4 if side == "up" else 0.8),
        "effect": 9.9 if rate else 0.3,
        "effect_kind": "odds_ratio" if rate else "rank_shift",
        "records": 234,
        "evidence": 28.5,
        "threshold": 28.0,
        "sentence": f"{signal} left its baseline",
    }
    return Drift(**(values | fields))


def later(first: Drift, after_s: float, state: str = "recovered", **fields: Any) -> Drift:
    """A further report of a drift, some seconds after it fired; its recovery by default."""
    now = {"now": first.normal} if state == "recovered" else {}
    moved = {"state": state, "sequence": first.sequence + 1, "updated_at": first.detected_at + round(after_s * SECOND)}
    return first.model_copy(update=moved | now | fields)


def deployment(deployment_id: str = "d-42", *, before_s: float = 20, **fields: Any) -> Deployment:
    """A prompt deployment to support-bot, some seconds before the failure."""
    values: dict[str, Any] = {"kind": "prompt", "subject": "support-bot", "from_version": "v41", "to_version": "v42"}
    at = START - round(before_s * SECOND)
    return Deployment(deployment_id=deployment_id, timestamp=at, **(values | fields))


def tick(at: int, partition: int = 0, wall: int | None = None) -> Tick:
    """A tick of a partition whose watermark is ``at``."""
    return Tick(partition=partition, watermark=at, wall=wall)


def command(action: str, incident_id: str | None, *, at: int = START + MINUTE, **fields: Any) -> Command:
    """A command sent by ann."""
    values = {"command_id": f"c-{action}-{at}", "author": "ann"} | fields
    return Command.model_validate({"at": at, "action": action, "incident_id": incident_id} | values)


_TOPICS: dict[type[Contract], str] = {Drift: DRIFTS, Tick: DRIFTS, Deployment: DEPLOYMENTS, Command: COMMANDS}


def kafka(contracts: Iterable[Contract | bytes], *, first_offset: int = 0, topic: str = DRIFTS) -> list[RawMessage]:
    """Contracts as Kafka messages of their topics; bytes as messages of the given topic."""
    return [
        RawMessage(topic, 0, offset, START, None, contract)
        if isinstance(contract, bytes)
        else RawMessage(_TOPICS[type(contract)], 0, offset, _written_at(contract), None, contract.to_json())
        for offset, contract in enumerate(contracts, first_offset)
    ]


def _written_at(contract: Contract) -> int:
    """Time at which a message is written: its own time, but not before the failure."""
    times = (getattr(contract, name, None) for name in ("updated_at", "watermark", "wall", "timestamp", "at"))
    return max([START, *(at for at in times if at is not None)])


def incidents(outputs: Iterable[OutputMessage]) -> list[Incident]:
    """The revisions in some outputs."""
    return [Incident.from_json(output.value or b"") for output in outputs if output.topic == ALERTS]


def dead_letters(outputs: Iterable[OutputMessage]) -> list[DeadLetter]:
    """The dead letters in some outputs."""
    return [DeadLetter.from_json(output.value or b"") for output in outputs if output.topic == DEAD_LETTERS]


def revisions(*contracts: Contract, settings: CorrelateSettings | None = None) -> list[Incident]:
    """All revisions that a new step publishes for some messages."""
    return incidents(CorrelateStep(settings or AT_ONCE).step(kafka(contracts)))


def newest(*contracts: Contract, settings: CorrelateSettings | None = None) -> dict[str, Incident]:
    """The newest revision of each incident, by its id, in order of start."""
    final = {incident.incident_id: incident for incident in revisions(*contracts, settings=settings)}
    return dict(sorted(final.items(), key=lambda item: item[1].started_at))


def only(*contracts: Contract, settings: CorrelateSettings | None = None) -> Incident:
    """The newest revision of the only incident."""
    [incident] = newest(*contracts, settings=settings).values()
    return incident


def started(settings: CorrelateSettings | None = None, *contracts: Contract) -> CorrelateStep:
    """A step that has processed some messages."""
    step = CorrelateStep(settings or AT_ONCE)
    step.step(kafka(contracts))
    return step
