"""Real streams: what was found of failures that really happened, and what fires on traffic in which nothing failed."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson

from load.score.suites.river_detectors import DETECTORS, alarms
from pipeline.detect.offline import message_batches, read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import channels
from pipeline.detect.step import DetectStep
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.timestamp import format_timestamp, parse_timestamp
from schemas.topics import BASELINES

WEEK_S = 7 * 86_400.0
BATCH_MESSAGES = 2000
WORKLOAD = ("input_tokens", "output_tokens")

TRAFFIC_START_MS = parse_timestamp("2026-11-02T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One real stream: where it lies, how it is read, and the readiness that fits it."""

    name: str
    file: str
    kind: str
    readiness: dict[str, float]
    expected: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    forced: bool = False


_MINUTES: dict[str, float] = {"ready_after_s": 1800, "ready_records": 5000, "ready_records_rate": 1000}
_HOUR: dict[str, float] = {"ready_after_s": 1800, "ready_records": 1000, "ready_records_rate": 1000}
_SPARSE: dict[str, float] = {"flush_after_s": 60}
"""One request in two seconds: looked at once a minute, which takes a tenth of the time and changes nothing else."""

_POINTS: dict[str, float] = {"ready_after_s": 2 * 86_400, "ready_records": 500, "ready_records_rate": 100}

ROWS: tuple[Row, ...] = (
    Row("llmdrift prime", "llmdrift/llmdrift-prime-gpt-35.records.ndjson.gz", "records", _MINUTES,
        ("latency_ms page",), ("hallucinated", "length page", "refused", "empty")),
    Row("llmdrift happy", "llmdrift/llmdrift-happy-gpt-35.records.ndjson.gz", "records", _MINUTES,
        ("latency_ms page", "length page"), ("refused", "empty")),
    Row("llmdrift opinionqa", "llmdrift/llmdrift-opinionqa-gpt-35.records.ndjson.gz", "records", _MINUTES,
        ("latency_ms page",), ("length", "output_tokens", "refused", "empty")),
    Row("azure code", "traffic/azure-llm-2023-code.csv", "azure", _HOUR, silent=("page", "ticket")),
    Row("azure code, paging forced", "traffic/azure-llm-2023-code.csv", "azure", _HOUR, forced=True),
    Row("servegen", "traffic/servegen-m-large.csv.gz", "servegen", _SPARSE, silent=("page", "ticket")),
    Row("servegen, paging forced", "traffic/servegen-m-large.csv.gz", "servegen", _SPARSE, forced=True),
    Row("nab aws", "nab/realAWSCloudwatch", "nab", _POINTS),
)  # fmt: skip


def run_real(row: Row, data: Path, settings: DetectSettings) -> dict[str, Any]:
    """Play one real stream; ``skipped`` says why if its data is not there."""
    path = data / row.file
    head = {"scenario": row.name, "suite": "real", "readiness": row.readiness, "config_hash": settings.digest()}
    if not path.exists():
        return head | {"skipped": f"{path} is not there: see --data"}
    own = settings.model_copy(update=row.readiness)
    if row.kind == "nab":
        return head | _nab(path, data / "nab" / "windows.json", own)
    lines = {"records": _lines, "azure": _azure, "servegen": _servegen}[row.kind](path)
    with _paging(row.forced):
        told = _tell(lines, own)
    return head | _row(row, told)


@dataclass(slots=True)
class _Told:
    """What a stream gave: when it was ready, what fired, and the values of each signal."""

    ready_at: int | None
    fired: list[Drift]
    first_ms: int
    last_ms: int
    values: dict[str, list[float]]
    judged: int


def _tell(lines: Iterable[bytes], settings: DetectSettings) -> _Told:
    step = DetectStep(0, settings, replay=True)
    told = _Told(None, [], 0, 0, {}, 0)
    for batch in message_batches(_noted(lines, told), BATCH_MESSAGES):
        outputs = step.step(batch)
        learned = [output.value for output in outputs if output.topic == BASELINES]
        if learned and told.ready_at is None:
            told.ready_at = Baseline.from_json(learned[0] or b"").learned_to
        told.fired += [drift for drift in read_drifts(outputs) if drift.state == "firing"]
    told.judged = sum(unit.monitored.monitored for unit in step.streams.values())
    return told


def _noted(lines: Iterable[bytes], told: _Told) -> Iterator[bytes]:
    """The lines, of which times and values are noted as they pass."""
    for line in lines:
        record = orjson.loads(line)
        told.last_ms = parse_timestamp(record["timestamp"])
        told.first_ms = told.first_ms or told.last_ms
        for name, value in _signals(record):
            told.values.setdefault(name, []).append(float(value))
        yield line


def _signals(record: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for section in ("infrastructure", "output", "custom"):
        for name, value in (record.get(section) or {}).items():
            if isinstance(value, int | float):
                yield (f"custom.{name}" if section == "custom" else name), value


def _row(row: Row, told: _Told) -> dict[str, Any]:
    weeks = max(1, told.last_ms - told.first_ms) / 1000 / WEEK_S
    fired = [(drift.signal, drift.tier) for drift in told.fired]
    problems = [f"{want} was not found" for want in row.expected if tuple(want.split()) not in fired]
    for quiet in row.silent:
        words = quiet.split()
        loud = [f"{name} {tier}" for name, tier in fired if set(words) <= {name, tier} and tier != "cause"]
        problems += [f"{each} fired" for each in sorted(set(loud))]
    if told.ready_at is None or not told.judged:
        problems.append("nothing was ready: its silence proves nothing")
    rivers = dict.fromkeys(DETECTORS, 0)
    for values in told.values.values():
        for each in alarms(np.array(values)):
            rivers[each.detector] += len(each.rows)
    return {
        "records": max(map(len, told.values.values()), default=0),
        "ready_at": None if told.ready_at is None else format_timestamp(told.ready_at),
        "signal_records_judged": told.judged,
        "fired": sorted(Counter(f"{name} {tier}" for name, tier in fired).items()),
        "firings_a_week": {
            tier: sum(each == tier for _, each in fired) / weeks for tier in ("page", "ticket", "cause")
        },
        "river_alarms_a_week": {name: count / weeks for name, count in rivers.items()},
        "problems": problems,
    }


@contextmanager
def _paging(forced: bool) -> Iterator[None]:
    """Let workload signals page, as they never do in the product: what would fire if they could."""
    if not forced:
        yield
        return
    known = channels._BY_NAME  # noqa: SLF001  there is no setting for this, on purpose
    with patch.dict(known, {name: replace(known[name], role="pages") for name in WORKLOAD}):
        yield


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        yield from file


def _azure(path: Path) -> Iterator[bytes]:
    with path.open() as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["TIMESTAMP"][:23]).replace(tzinfo=UTC)
            yield _workload(round(at.timestamp() * 1000), row["ContextTokens"], row["GeneratedTokens"])


def _servegen(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at_ms = TRAFFIC_START_MS + round(float(row["t_s"]) * 1000)
            yield _workload(at_ms, row["input_tokens"], row["output_tokens"])


def _workload(time_ms: int, input_tokens: str, output_tokens: str) -> bytes:
    return orjson.dumps(
        {
            "subject": "llm",
            "timestamp": time_ms,
            "infrastructure": {"input_tokens": int(float(input_tokens)), "output_tokens": int(float(output_tokens))},
        }
    )


def _nab(folder: Path, windows_file: Path, settings: DetectSettings) -> dict[str, Any]:
    """Every series as a signal of the user's own: windows hit, and alarms outside of all windows."""
    windows = json.loads(windows_file.read_text())
    hit = total = false_alarms = ready = 0
    rivers = {name: [0, 0] for name in DETECTORS}
    series = sorted(folder.glob("*.csv"))
    for path in series:
        own = [tuple(map(_nab_ms, window)) for window in windows[f"{folder.name}/{path.name}"]]
        times_ms, values = _nab_series(path)
        lines = (
            orjson.dumps({"subject": path.stem, "timestamp": time_ms, "custom": {"value": value}})
            for time_ms, value in zip(times_ms, values, strict=True)
        )
        told = _tell(lines, settings)
        ready += told.ready_at is not None and told.judged > 0
        fired = [drift.detected_at for drift in told.fired if drift.tier != "cause" and drift.detector != "silence"]
        total += len(own)
        hit += sum(any(start <= at <= end for at in fired) for start, end in own)
        false_alarms += sum(not any(start <= at <= end for start, end in own) for at in fired)
        for each in alarms(np.array(values)):
            at_river = [times_ms[row] for row in each.rows]
            rivers[each.detector][0] += sum(any(start <= at <= end for at in at_river) for start, end in own)
            rivers[each.detector][1] += sum(not any(start <= at <= end for start, end in own) for at in at_river)
    return {
        "series": len(series),
        "series_ready": ready,
        "windows": total,
        "windows_hit": hit,
        "false_alarms": false_alarms,
        "rivers": {name: {"windows_hit": found[0], "false_alarms": found[1]} for name, found in rivers.items()},
        "problems": [] if ready else ["nothing was ready: its silence proves nothing"],
    }


def _nab_series(path: Path) -> tuple[list[int], list[float]]:
    with path.open() as file:
        rows = [(_nab_ms(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    return [at for at, _ in rows], [value for _, value in rows]


def _nab_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
