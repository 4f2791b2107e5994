"""Disturbances of messages in transit, while the service itself is healthy."""

import numpy as np
import orjson
from numpy.typing import NDArray

from load.json_texts import probe_line, replace_fields
from load.score.simulation.extra_signals import RATES
from load.score.simulation.scenario import ProbeSchedule, Scenario
from load.world import SUBJECT, RecordColumns
from schemas.timestamp import format_timestamp, parse_timestamp

SERVERS = 10
"""Number of servers. The clock of one server is wrong, so every tenth record is affected."""

YEAR_2200_MS = parse_timestamp("2199-12-31T00:00:00Z")


def disturb(
    lines: list[bytes],
    columns: RecordColumns,
    scenario: Scenario,
    at_ms: int,
    random: np.random.Generator,
    *,
    before_ms: int,
) -> list[bytes]:
    """Return the lines of the given columns after adding the disturbances and the probes of a scenario.

    Parameters
    ----------
    lines
        One line per record of the columns. The list is modified in place.
    columns
        Records that the lines contain, in time order.
    scenario
        Scenario with the disturbances.
    at_ms
        Time of the change, in Unix milliseconds.
    random
        Random number generator.
    before_ms
        Time of the last record before these columns. Messages that are due between this time and the last record are
        inserted.
    """
    if not columns.times_ms.size:
        return lines
    disturbance, times_ms = scenario.messages, columns.times_ms
    after = times_ms >= at_ms
    if disturbance.skew_s:
        rows = after & (np.arange(times_ms.size) % SERVERS == 0)
        for row in np.flatnonzero(rows).tolist():
            lines[row] = replace_fields(lines[row], timestamp=int(times_ms[row] + disturbance.skew_s * 1000))
    lines = _duplicate(lines, after & (random.random(times_ms.size) < disturbance.twice))
    if before_ms < at_ms <= int(times_ms[-1]):
        row = int(np.searchsorted(times_ms, at_ms))
        inserted = storm_lines(scenario, at_ms) + _evaluation_lines(scenario, at_ms, random)
        if disturbance.absurd:
            record = orjson.loads(lines[row])
            for section in ("infrastructure", "output", "data", "safety"):
                absurd = {name: value for name, value in disturbance.absurd.items() if name in record[section]}
                record[section] |= absurd
            inserted.append(orjson.dumps(record | {"request_id": "absurd"}))
        if disturbance.year_2200:
            inserted.append(replace_fields(lines[row], timestamp=YEAR_2200_MS, request_id="from-2200"))
        lines[row:row] = inserted
    if scenario.probes is not None:
        _insert_probes(lines, times_ms, scenario.probes, at_ms, before_ms)
    return lines


def _duplicate(lines: list[bytes], rows: NDArray[np.bool_]) -> list[bytes]:
    if not rows.any():
        return lines
    return [line for line, twice in zip(lines, rows.tolist(), strict=True) for line in [line] * (1 + twice)]


def _insert_probes(
    lines: list[bytes], times_ms: NDArray[np.int64], probes: ProbeSchedule, at_ms: int, before_ms: int
) -> None:
    every_ms = round(probes.every_s * 1000)
    for time_ms in reversed(range((before_ms // every_ms + 1) * every_ms, int(times_ms[-1]) + 1, every_ms)):
        blocked = probes.blocked if time_ms >= at_ms else True
        lines.insert(int(np.searchsorted(times_ms, time_ms)), probe_line(SUBJECT, time_ms, blocked=blocked))


def storm_times_ms(scenario: Scenario, at_ms: int) -> NDArray[np.int64]:
    """Return the times of the failed retries of one client, evenly spaced within a second."""
    storm = scenario.messages.storm
    return at_ms + np.arange(storm) * 1000 // max(1, storm)


def storm_lines(scenario: Scenario, at_ms: int) -> list[bytes]:
    """Return the failed retries of one client within a second. They carry no tenant that would identify the client."""
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


def _evaluation_lines(scenario: Scenario, at_ms: int, random: np.random.Generator) -> list[bytes]:
    count = scenario.messages.evaluations
    hallucinated = random.random(count) < RATES["hallucinated"][0] if count else ()
    return [
        orjson.dumps(
            {
                "subject": SUBJECT,
                "request_id": f"evaluated-{number}",
                "timestamp": format_timestamp(at_ms + number * 1000 // count),
                "output": {"hallucinated": bool(outcome)},
            }
        )
        for number, outcome in enumerate(hallucinated)
    ]
