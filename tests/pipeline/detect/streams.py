"""Streams of records for the tests of the detect step, and ways to drive it."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from pipeline.codec import encode
from pipeline.detect.step import DetectStep
from pipeline.step import Input, Output, RawMessage
from schemas.timestamp import format_timestamp
from schemas.topics import RECORDS

START_MS = 1_795_489_920_000
"""Unix milliseconds: 2026-11-24T03:12:00Z."""


def message(offset: int, value: bytes | None, appended_at: int = START_MS, key: bytes | None = b"k") -> RawMessage:
    """One Kafka message of partition 0."""
    return RawMessage(RECORDS, 0, offset, appended_at, key, value)


def record(
    rng: random.Random, number: int, time_ms: int, subject: str = "bot", refused: float = 0.01
) -> dict[str, Any]:
    """A record as a support bot with retrieval would send it."""
    fields: dict[str, Any] = {
        "subject": subject,
        "request_id": f"r-{number}",
        "timestamp": format_timestamp(time_ms),
        "environment": "production",
        "provider": "openai",
        "infrastructure": {"latency_ms": round(rng.lognormvariate(6, 0.4), 1), "error": rng.random() < 0.01},
        "output": {"length": rng.randrange(50, 900), "refused": rng.random() < refused, "finish_reason": "stop"},
        "data": {"retrieval_score": round(rng.betavariate(8, 3), 3)},
    }
    if rng.random() < 0.1:
        fields["custom"] = {"toxicity": round(rng.random(), 3), "flagged": rng.random() < 0.5}
    if rng.random() < 0.05:
        fields["infrastructure"]["error_type"] = rng.choice(["timeout", None, 7])
    if rng.random() < 0.05:
        fields["output"]["length"] = rng.choice(["911", None, -1, True])
    return fields


def outcome(subject: str, number: int, time_ms: int) -> dict[str, Any]:
    """A late outcome of a record."""
    fields = {"subject": subject, "request_id": f"r-{number}", "timestamp": format_timestamp(time_ms)}
    return {**fields, "output": {"thumbs_down": True}}


def drive(step: DetectStep, messages: Sequence[Input], cuts: Iterable[int] = ()) -> list[Output]:
    """Give a step messages in batches that end at the cuts."""
    outputs: list[Output] = []
    start = 0
    for end in (*sorted(cuts), len(messages)):
        outputs += step.step(messages[start:end])
        start = end
    return outputs


class Checkpoint:
    """The compacted topic: what ``changed`` gave out, the newest of each key."""

    def __init__(self) -> None:
        self.parts: dict[bytes, bytes] = {}

    def take(self, step: DetectStep) -> None:
        """Write what changed."""
        for key, value in step.changed():
            if value is None:
                self.parts.pop(key, None)
            else:
                self.parts[key] = value

    def restored(self, step: DetectStep, rng: random.Random) -> DetectStep:
        """A new step with this state, its parts in another order."""
        parts = list(self.parts.items())
        rng.shuffle(parts)
        problems = list(step.restore(parts))
        assert problems == []
        return step


def whole_state(step: DetectStep) -> dict[str, bytes]:
    """All that a step knows of its units, as bytes that can be compared."""
    state = {}
    for subject, unit in step.streams.items():
        dumped = {
            "unit": [
                unit.watermark,
                sorted(unit.counts.items()),
                unit.columns.dump(),
                unit.baseline_version,
                unit.pending,
                unit.last_pane,
                unit.heard_ms,
            ],
            "derived": [unit.derived.dump(), unit.first_seen.dump(), unit.silence.dump()],
            "rows": unit.buffer.records.dump() if len(unit.buffer) else None,
            "held": unit.event_time_guard.dump(),
            "duplicates": list(unit.duplicates._chunks),
            "statistics": unit.statistics.dump(),
            "judge": unit.monitor and unit.monitor.dump(),
            "learned": unit.learner
            and unit.statistics.snapshot()["records"]
            and unit.learner.baseline("live").to_json(),
            "judged": [unit.monitored.seen, unit.monitored.monitored],
        }
        for part, content in dumped.items():
            state[f"{subject}/{part}"] = encode({"content": content}, kind=part, settings_hash="")
    return state


def as_json(value: object) -> bytes:
    """JSON as a producer would write it."""
    return orjson.dumps(value)
