"""Messages of the assistant on their way: in order of arrival, with the probes and the disturbances of an event."""

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson

from load.json_texts import probe_line, replace_fields
from load.score.assistant.events import Disturbances
from schemas.timestamp import format_timestamp

PROBE_EVERY_MS = 120_000
"""Milliseconds between two probes."""

HALLUCINATED = 0.04
"""Share of the answers with unsupported claims."""

ABSURD = {"infrastructure": {"latency_ms": 1e12, "input_tokens": 0}, "output": {"length": 1e9}}

_Content = dict[str, Any]

Timed = tuple[int, bytes]
"""Time of a record in Unix milliseconds, and its message."""


def disturb(records: list[Timed], event: Disturbances, event_ms: int, random: np.random.Generator) -> list[Timed]:
    """Return the messages of records in order, after the disturbances, with the times at which they arrive."""
    last_ms = event_ms + round(event.for_min * 60_000)
    arrived: list[Timed] = []
    draws = random.random((len(records), 5))
    for (time_ms, line), (twice, late, lateness, broken, text) in zip(records, draws.tolist(), strict=True):
        arrival_ms, message = time_ms, line
        if event_ms <= time_ms < last_ms:
            if event.skew_s and lateness < 0.1:
                message = replace_fields(line, timestamp=format_timestamp(time_ms + round(event.skew_s * 1000)))
            if text < event.text:
                message = _write_text(message)
            if broken < event.broken:
                message = message[: len(message) // 2]
            if late < event.late_share:
                arrival_ms += round(lateness * event.late_s * 1000)
            if twice < event.twice:
                arrived.append((arrival_ms, message))
        arrived.append((arrival_ms, message))
    return arrived


def insert_messages(event: Disturbances, subject: str, event_ms: int, random: np.random.Generator) -> list[Timed]:
    """Return the messages that an event adds at its start."""
    failed = {"error": True, "error_type": "timeout", "latency_ms": 30_000}
    storm: list[_Content] = [{"infrastructure": failed, "segment": {"tenant": "campus"}}] * event.storm
    hallucinated = (random.random(event.evaluations) < HALLUCINATED).tolist()
    evaluations: list[_Content] = [{"output": {"hallucinated": outcome}} for outcome in hallucinated]
    absurd: list[_Content] = [ABSURD] * event.absurd
    messages = []
    for kind, records, spread_ms in (("storm", storm, 2000), ("evaluated", evaluations, 60_000), ("absurd", absurd, 1)):
        for number, content in enumerate(records):
            time_ms = event_ms + number * spread_ms // len(records)
            head = {"subject": subject, "request_id": f"{kind}-{number}", "timestamp": format_timestamp(time_ms)}
            messages.append((time_ms, orjson.dumps(head | content)))
    return messages


def create_probes(subject: str, start_ms: int, end_ms: int, event: Disturbances, event_ms: int) -> list[Timed]:
    """Return the probes from ``start_ms`` up to ``end_ms``. An event may let them pass, or stop them."""
    first_ms = -(-start_ms // PROBE_EVERY_MS) * PROBE_EVERY_MS
    probes = []
    for time_ms in range(first_ms, end_ms, PROBE_EVERY_MS):
        is_affected = 0 <= time_ms - event_ms < event.for_min * 60_000
        if not (is_affected and event.without_probes):
            blocked = not (is_affected and event.open_probes)
            probes.append((time_ms, probe_line(subject, time_ms, blocked=blocked)))
    return probes


def order_arrivals(periods: Iterable[tuple[int, list[Timed]]]) -> Iterator[list[bytes]]:
    """Yield messages in order of arrival, given the end (Unix ms) and the messages of each period.

    Messages that arrive after the end of their period are yielded with a later one.
    """
    waiting: list[tuple[int, int, bytes]] = []
    number = 0
    for end_ms, messages in periods:
        for arrival_ms, message in messages:
            heapq.heappush(waiting, (arrival_ms, number, message))
            number += 1
        due = []
        while waiting and waiting[0][0] < end_ms:
            due.append(heapq.heappop(waiting)[2])
        yield due
    yield [heapq.heappop(waiting)[2] for _ in range(len(waiting))]


def _write_text(line: bytes) -> bytes:
    record = orjson.loads(line)
    latency = record.get("infrastructure", {}).get("latency_ms")
    if latency is not None:
        record["infrastructure"]["latency_ms"] = f"{latency:.0f} ms or so"
    return orjson.dumps(record)
