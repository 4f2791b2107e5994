"""Streams of records for the tests of the detect step, and functions that drive it."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from pipeline.codec import encode
from pipeline.detect.step import DetectStep
from pipeline.step import InputMessage, OutputMessage, RawMessage
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
        fields["infrastructure"]["error_type"] = rng.choice(["timeout", None, 7.5])
    if rng.random() < 0.05:
        fields["output"]["length"] = rng.choice(["911", "nine", None, -1, True])
    return fields


def outcome(subject: str, number: int, time_ms: int) -> dict[str, Any]:
    """A late outcome of a record."""
    fields = {"subject": subject, "request_id": f"r-{number}", "timestamp": format_timestamp(time_ms)}
    return {**fields, "output": {"thumbs_down": True}}


def drive(step: DetectStep, messages: Sequence[InputMessage], cuts: Iterable[int] = ()) -> list[OutputMessage]:
    """Push messages into a step, in batches that end at the cuts."""
    outputs: list[OutputMessage] = []
    start = 0
    for end in (*sorted(cuts), len(messages)):
        outputs += step.step(messages[start:end])
        start = end
    return outputs


class Checkpoint:
    """The compacted topic: the newest value per key that ``changed`` yielded."""

    def __init__(self) -> None:
        self.parts: dict[bytes, bytes] = {}

    def take(self, step: DetectStep) -> None:
        """Write the parts that changed."""
        for key, value in step.changed():
            if value is None:
                self.parts.pop(key, None)
            else:
                self.parts[key] = value

    def restored(self, step: DetectStep, rng: random.Random) -> DetectStep:
        """Restore this state into a new step, its parts in random order."""
        parts = list(self.parts.items())
        rng.shuffle(parts)
        assert list(step.restore(parts)) == []
        return step


def full_state(step: DetectStep) -> dict[str, bytes]:
    """Return the state of all streams as bytes that can be compared."""
    state = {"dead_letters": encode({"content": step._dead_letters.dump()}, kind="dead_letters")}
    for subject, stream in step.streams.items():
        dumped = {
            "stream": [
                stream.watermark,
                sorted(stream.counts.items()),
                stream.columns.dump(),
                stream.baseline_version,
                stream.pending_baselines,
                stream.last_pane,
                stream.partition_ms,
            ],
            "derived": [stream.derived.dump(), stream.first_seen.dump(), stream.silence.dump()],
            "rows": stream.buffer.records.dump() if len(stream.buffer) else None,
            "losses": stream.losses.dump(),
            "request_loss": stream.request_loss.dump(),
            "fixed_limits": stream.fixed_limits.dump(),
            "request_hours": stream.request_hours.dump(),
            "sampled": stream.sampling.dump(),
            "held": stream.event_time_guard.dump(),
            "duplicates": [stream.duplicates._window.number, *stream.duplicates._window.chunks],
            "outcomes": [
                stream.outcome_labels.last_outcome_pane,
                stream.outcome_labels._window.number,
                *(chunk.dump() for chunk in stream.outcome_labels._window.chunks),
            ],
            "history": [
                stream.history._dump_head(),
                {str(day): list(stream.history._dump_day(day)["numbers"]) for day in sorted(stream.history._days)},
            ],
            "statistics": stream.statistics.dump(),
            "monitor": stream.monitor and stream.monitor.dump(),
            "learned": stream.learner
            and stream.statistics.snapshot()["records"]
            and stream.learner.baseline("live").to_json(),
            "monitored": [stream.monitored.seen, stream.monitored.monitored],
        }
        for part, content in dumped.items():
            state[f"{subject}/{part}"] = encode({"content": content}, kind=part)
    return state


def as_json(value: object) -> bytes:
    """Return JSON as a producer would write it."""
    return orjson.dumps(value)
