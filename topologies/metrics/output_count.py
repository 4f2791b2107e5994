"""Counts of the messages that a checkpoint has written: dead letters, drifts, incidents and notifications."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from pipeline.step import OutputMessage
from schemas.timestamp import parse_timestamp
from schemas.topics import ALERTS, DEAD_LETTERS, DRIFTS, NOTIFICATIONS
from topologies.metrics.worker_metrics import WorkerMetrics

_COUNTED = frozenset({ALERTS, DEAD_LETTERS, DRIFTS, NOTIFICATIONS})
_REASON = re.compile(rb'"reason":"([a-z0-9_]+)"')
"""The reason of a dead letter. It precedes everything that comes from the message, which can be long."""


def count_outputs(metrics: WorkerMetrics, outputs: Sequence[OutputMessage]) -> None:
    """Count the outputs of a checkpoint that Kafka has accepted.

    Parameters
    ----------
    metrics
        The metrics of the worker.
    outputs
        The outputs.
    """
    written_ms = None if metrics.clock is None else metrics.clock() * 1000
    counts: Counter[tuple[str, ...]] = Counter()
    for output in outputs:
        if output.topic in _COUNTED and output.value is not None and output.key is not None:  # ticks have no key
            # What is not a message of the contract is not counted.
            with suppress(orjson.JSONDecodeError, KeyError):
                _count_output(metrics, counts, output.topic, output.value, written_ms)
    for (name, *labels), count in counts.items():
        metrics.count(name, count, *labels)


def _count_output(
    metrics: WorkerMetrics, counts: Counter[tuple[str, ...]], topic: str, value: bytes, written_ms: float | None
) -> None:
    if topic == DEAD_LETTERS:
        found = _REASON.search(value)
        if found is not None:
            counts["driftwire_dead_letters_total", found[1].decode()] += 1
    elif topic == DRIFTS:
        drift = orjson.loads(value)
        counts["driftwire_drifts_total", drift["state"], drift["tier"]] += 1
    elif topic == ALERTS:
        _count_incident(metrics, counts, orjson.loads(value), written_ms)
    elif topic == NOTIFICATIONS:
        message = orjson.loads(value)
        labels = message["outcome"], message["reason_code"], message["receiver"]
        counts["driftwire_notifications_total", *labels] += 1


def _count_incident(
    metrics: WorkerMetrics, counts: Counter[tuple[str, ...]], incident: dict[str, Any], written_ms: float | None
) -> None:
    if incident["revision"] == 1:
        counts["driftwire_incidents_total", incident["severity"]] += 1
        if written_ms is not None:
            seconds = max(0, written_ms - parse_timestamp(incident["detected_at"])) / 1000
            metrics.observe("driftwire_record_to_alert_seconds", seconds, incident_id=incident["incident_id"])
