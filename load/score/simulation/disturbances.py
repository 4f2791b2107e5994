"""Disturbances: what happens to the messages of a scenario on their way, while the service itself is well."""

import numpy as np
import orjson
from numpy.typing import NDArray

from load.score.simulation.extra_signals import RATES
from load.score.simulation.scenario import Probes, Scenario
from load.world import SUBJECT, Columns
from schemas.timestamp import format_timestamp, parse_timestamp

SERVERS = 10
"""Every tenth record is of the server whose clock is wrong."""

YEAR_2200_MS = parse_timestamp("2199-12-31T00:00:00Z")


def disturbed(
    lines: list[bytes], columns: Columns, scenario: Scenario, at_ms: int, random: np.random.Generator, *, before_ms: int
) -> list[bytes]:
    """The lines of some columns with what comes twice, from a wrong clock, from probes, or once, at the change.

    Parameters
    ----------
    lines
        As many as the columns have records; changed in place.
    at_ms
        When it happens, Unix milliseconds.
    before_ms
        Time of the last record before these: what happens from then on happens here, and nowhere else.
    """
    if not columns.times_ms.size:
        return lines
    messages, times_ms = scenario.messages, columns.times_ms
    after = times_ms >= at_ms
    if messages.skew_s:
        rows = after & (np.arange(times_ms.size) % SERVERS == 0)
        for row in np.flatnonzero(rows).tolist():
            lines[row] = _with(lines[row], timestamp=int(times_ms[row] + messages.skew_s * 1000))
    lines = _twice(lines, after & (random.random(times_ms.size) < messages.twice))
    if before_ms < at_ms <= int(times_ms[-1]):
        row = int(np.searchsorted(times_ms, at_ms))
        once = storm_lines(scenario, at_ms) + _evaluations(scenario, at_ms, random)
        if messages.absurd:
            record = orjson.loads(lines[row])
            for section in ("infrastructure", "output", "data", "safety"):
                record[section] |= {name: value for name, value in messages.absurd.items() if name in record[section]}
            once.append(orjson.dumps(record | {"request_id": "absurd"}))
        if messages.year_2200:
            once.append(_with(lines[row], timestamp=YEAR_2200_MS, request_id="from-2200"))
        lines[row:row] = once
    if scenario.probes is not None:
        _probe(lines, times_ms, scenario.probes, at_ms, before_ms)
    return lines


def _twice(lines: list[bytes], rows: NDArray[np.bool_]) -> list[bytes]:
    if not rows.any():
        return lines
    return [line for line, again in zip(lines, rows.tolist(), strict=True) for line in [line] * (1 + again)]


def _probe(lines: list[bytes], times_ms: NDArray[np.int64], probes: Probes, at_ms: int, before_ms: int) -> None:
    """Put the records of probes between others."""
    every_ms = round(probes.every_s * 1000)
    for time_ms in reversed(range((before_ms // every_ms + 1) * every_ms, int(times_ms[-1]) + 1, every_ms)):
        blocked = probes.blocked if time_ms >= at_ms else True
        lines.insert(int(np.searchsorted(times_ms, time_ms)), probe_line(time_ms, blocked=blocked))


def probe_line(time_ms: int, *, blocked: bool, subject: str = SUBJECT) -> bytes:
    """The record of a known-bad prompt that was sent on purpose."""
    return orjson.dumps(
        {
            "subject": subject,
            "request_id": f"probe-{time_ms}",
            "timestamp": format_timestamp(time_ms),
            "safety": {"probe_blocked": blocked},
        }
    )


def storm_times_ms(scenario: Scenario, at_ms: int) -> NDArray[np.int64]:
    """When the failed retries of one client were made: evenly within a second."""
    storm = scenario.messages.storm
    return at_ms + np.arange(storm) * 1000 // max(1, storm)


def storm_lines(scenario: Scenario, at_ms: int) -> list[bytes]:
    """The failed retries of one client within a second; it names no tenant, by which it could be known."""
    return [
        orjson.dumps(
            {
                "subject": SUBJECT,
                "request_id": f"storm-{number}",
                "timestamp": format_timestamp(time_ms),
                "infrastructure": {"error": True, "error_type": "timeout", "latency_ms": 30_000.0},
            }
        )
        for number, time_ms in enumerate(storm_times_ms(scenario, at_ms).tolist())
    ]


def _evaluations(scenario: Scenario, at_ms: int, random: np.random.Generator) -> list[bytes]:
    count = scenario.messages.evaluations
    bad = random.random(count) < RATES["hallucinated"][0] if count else ()
    return [
        orjson.dumps(
            {
                "subject": SUBJECT,
                "request_id": f"evaluated-{number}",
                "timestamp": format_timestamp(at_ms + number * 1000 // count),
                "output": {"hallucinated": bool(each)},
            }
        )
        for number, each in enumerate(bad)
    ]


def _with(line: bytes, **fields: object) -> bytes:
    return orjson.dumps(orjson.loads(line) | fields)
