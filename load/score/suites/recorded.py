"""Suite of recorded streams (``real``): failures of real systems, and traffic without failures."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from load.score.comparison import DETECTORS, run_detectors
from load.score.nab import list_series, read_series
from load.score.suite import NO_VALUE, ScorePlan, ScoreResults, ScoreTask, SuiteReport
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
WORKLOAD_SIGNALS = ("input_tokens", "output_tokens")

SERVEGEN_START_MS = parse_timestamp("2026-11-02T00:00:00Z")
"""Start time of the ServeGen traffic, whose times are given in seconds since the start."""

NOT_READY = "no baseline became ready, so an empty result proves nothing"


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """Recorded stream.

    Attributes
    ----------
    name
        Name in the report.
    file
        Path relative to the folder of the data.
    kind
        Format: ``records``, ``azure``, ``servegen`` or ``nab``.
    readiness
        Settings that suit the stream.
    expected
        Drifts that must fire, as signal and tier.
    silent
        Signals, tiers, or pairs of signal and tier that must not fire.
    forced
        Whether workload signals page.
    """

    name: str
    file: str
    kind: str
    readiness: dict[str, float]
    expected: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    forced: bool = False


_READY_IN_MINUTES: dict[str, float] = {"ready_after_s": 1800, "ready_records": 5000, "ready_records_rate": 1000}
_READY_IN_AN_HOUR: dict[str, float] = {"ready_after_s": 1800, "ready_records": 1000, "ready_records_rate": 1000}
_READY_IN_DAYS: dict[str, float] = {"ready_after_s": 2 * 86_400, "ready_records": 500, "ready_records_rate": 100}
_SPARSE: dict[str, float] = {"flush_after_s": 60}
"""One request per two seconds, flushed once a minute. This reduces the run time to a tenth without changing results."""

_AZURE, _SERVEGEN = "traffic/azure-llm-2023-code.csv", "traffic/servegen-m-large.csv.gz"

RECORDED_STREAMS: tuple[RecordedStream, ...] = (
    RecordedStream(
        "llmdrift prime",
        "llmdrift/llmdrift-prime-gpt-35.records.ndjson.gz",
        "records",
        _READY_IN_MINUTES,
        expected=("latency_ms page",),
        silent=("hallucinated", "length page", "refused", "empty"),
    ),
    RecordedStream(
        "llmdrift happy",
        "llmdrift/llmdrift-happy-gpt-35.records.ndjson.gz",
        "records",
        _READY_IN_MINUTES,
        expected=("latency_ms page", "length page"),
        silent=("refused", "empty"),
    ),
    RecordedStream(
        "llmdrift opinionqa",
        "llmdrift/llmdrift-opinionqa-gpt-35.records.ndjson.gz",
        "records",
        _READY_IN_MINUTES,
        expected=("latency_ms page",),
        silent=("length", "output_tokens", "refused", "empty"),
    ),
    RecordedStream("azure code", _AZURE, "azure", _READY_IN_AN_HOUR, silent=("page", "ticket")),
    RecordedStream("azure code, paging forced", _AZURE, "azure", _READY_IN_AN_HOUR, forced=True),
    RecordedStream("servegen", _SERVEGEN, "servegen", _SPARSE, silent=("page", "ticket")),
    RecordedStream("servegen, paging forced", _SERVEGEN, "servegen", _SPARSE, forced=True),
    RecordedStream("nab aws", "nab/realAWSCloudwatch", "nab", _READY_IN_DAYS),
)


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per stream. ServeGen comes first because it takes longest."""
    for stream in sorted(RECORDED_STREAMS, key=lambda stream: stream.kind != "servegen"):
        run = partial(run_recorded, stream, plan.data, plan.settings)
        yield ScoreTask(("real", stream.name, 0), stream.name, run)


def run_recorded(stream: RecordedStream, data: Path, settings: DetectSettings) -> dict[str, Any]:
    """Run a recorded stream, and return its row. If the data is missing, ``skipped`` contains the reason."""
    path = data / stream.file
    head = {"scenario": stream.name, "suite": "real", "readiness": stream.readiness, "config_hash": settings.digest()}
    if not path.exists():
        return head | {"skipped": f"{path} does not exist: see --data"}
    ready_settings = settings.model_copy(update=stream.readiness)
    if stream.kind == "nab":
        return head | _run_nab(path, ready_settings)
    lines = {"records": _read_lines, "azure": _read_azure, "servegen": _read_servegen}[stream.kind](path)
    with _paging_forced(stream.forced):
        played = _play(lines, ready_settings)
    return head | _build_row(stream, played)


@dataclass(slots=True)
class _Played:
    """Result of a recorded stream: time at which a baseline became ready, drifts that fired, and values by signal."""

    ready_ms: int | None = None
    fired: list[Drift] = field(default_factory=list)
    first_ms: int = 0
    last_ms: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    monitored: int = 0


def _play(lines: Iterable[bytes], settings: DetectSettings) -> _Played:
    step = DetectStep(0, settings, replay=True)
    played = _Played()
    for batch in message_batches(_observe(lines, played), BATCH_MESSAGES):
        outputs = step.step(batch)
        learned = [output.value for output in outputs if output.topic == BASELINES]
        if learned and played.ready_ms is None:
            played.ready_ms = Baseline.from_json(learned[0] or b"").learned_to
        played.fired += [drift for drift in read_drifts(outputs) if drift.state == "firing"]
    played.monitored = sum(stream.monitored.monitored for stream in step.streams.values())
    return played


def _observe(lines: Iterable[bytes], played: _Played) -> Iterator[bytes]:
    """Yield the lines of the stream, and store their times and values."""
    for line in lines:
        record = orjson.loads(line)
        played.last_ms = parse_timestamp(record["timestamp"])
        played.first_ms = played.first_ms or played.last_ms
        for name, value in _read_signals(record):
            played.values.setdefault(name, []).append(float(value))
        yield line


def _read_signals(record: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for section in ("infrastructure", "output", "custom"):
        for name, value in (record.get(section) or {}).items():
            if isinstance(value, int | float):
                yield (f"custom.{name}" if section == "custom" else name), value


def _build_row(stream: RecordedStream, played: _Played) -> dict[str, Any]:
    weeks = max(1, played.last_ms - played.first_ms) / 1000 / WEEK_S
    fired = [(drift.signal, drift.tier) for drift in played.fired]
    problems = [f"{expected} was not found" for expected in stream.expected if tuple(expected.split()) not in fired]
    for silent in stream.silent:
        words = set(silent.split())
        unexpected = {f"{name} {tier}" for name, tier in fired if words <= {name, tier} and tier != "cause"}
        problems += [f"{drift} fired" for drift in sorted(unexpected)]
    if played.ready_ms is None or not played.monitored:
        problems.append(NOT_READY)
    rivers = dict.fromkeys(DETECTORS, 0)
    for values in played.values.values():
        for alarms in run_detectors(np.array(values)):
            rivers[alarms.detector] += len(alarms.rows)
    return {
        "records": max(map(len, played.values.values()), default=0),
        "ready_at": None if played.ready_ms is None else format_timestamp(played.ready_ms),
        "signal_records_judged": played.monitored,
        "fired": sorted(Counter(f"{name} {tier}" for name, tier in fired).items()),
        "firings_a_week": {
            tier: sum(fired_tier == tier for _, fired_tier in fired) / weeks for tier in ("page", "ticket", "cause")
        },
        "river_alarms_a_week": {name: count / weeks for name, count in rivers.items()},
        "problems": problems,
    }


@contextmanager
def _paging_forced(forced: bool) -> Iterator[None]:
    """Allow workload signals to page inside the ``with`` block. In production they never page."""
    if not forced:
        yield
        return
    known = channels._BY_NAME  # noqa: SLF001  this is deliberately not a setting
    with patch.dict(known, {name: replace(known[name], role="pages") for name in WORKLOAD_SIGNALS}):
        yield


def _read_lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        yield from file


def _read_azure(path: Path) -> Iterator[bytes]:
    with path.open() as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["TIMESTAMP"][:23]).replace(tzinfo=UTC)
            yield _workload_line(round(at.timestamp() * 1000), row["ContextTokens"], row["GeneratedTokens"])


def _read_servegen(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at_ms = SERVEGEN_START_MS + round(float(row["t_s"]) * 1000)
            yield _workload_line(at_ms, row["input_tokens"], row["output_tokens"])


def _workload_line(time_ms: int, input_tokens: str, output_tokens: str) -> bytes:
    return orjson.dumps(
        {
            "subject": "llm",
            "timestamp": time_ms,
            "infrastructure": {"input_tokens": int(float(input_tokens)), "output_tokens": int(float(output_tokens))},
        }
    )


@dataclass(slots=True)
class _WindowCounts:
    """Number of windows with an alarm, and number of alarms outside all windows."""

    windows_hit: int = 0
    false_alarms: int = 0

    def add(self, alarms_ms: list[int], windows: list[tuple[int, int]]) -> None:
        self.windows_hit += sum(any(start <= alarm <= end for alarm in alarms_ms) for start, end in windows)
        self.false_alarms += sum(not any(start <= alarm <= end for start, end in windows) for alarm in alarms_ms)


def _run_nab(folder: Path, settings: DetectSettings) -> dict[str, Any]:
    """Run every series of a folder of NAB as a custom signal."""
    total = ready = 0
    counts = _WindowCounts()
    rivers = {name: _WindowCounts() for name in DETECTORS}
    names = [name for name in list_series(folder.parent) if name.startswith(f"{folder.name}/")]
    for series in (read_series(folder.parent, name) for name in names):
        times_ms = series.times_ms
        windows = [(times_ms[window.first], times_ms[window.last]) for window in series.windows]
        played = _play(series.record_lines(), settings)
        ready += played.ready_ms is not None and played.monitored > 0
        total += len(windows)
        counts.add(
            [drift.detected_at for drift in played.fired if drift.tier != "cause" and drift.detector != "silence"],
            windows,
        )
        for alarms in run_detectors(series.values):
            rivers[alarms.detector].add([times_ms[row] for row in alarms.rows], windows)
    return {
        "series": len(names),
        "series_ready": ready,
        "windows": total,
        "windows_hit": counts.windows_hit,
        "false_alarms": counts.false_alarms,
        "rivers": {
            name: {"windows_hit": river.windows_hit, "false_alarms": river.false_alarms}
            for name, river in rivers.items()
        },
        "problems": [] if ready else [NOT_READY],
    }


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: problems, and a row per stream."""
    rows: list[dict[str, Any]] = results.select("real")
    problems = [f"{row['scenario']}: {problem}" for row in rows for problem in row.get("problems", [])]
    return SuiteReport({}, problems, rows)


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per stream."""
    table = Table(title="Recorded streams", box=None)
    for name in ("stream", "ready at", "what fired"):
        table.add_column(name)
    for row in (row for row in report["rows"] if row["suite"] == "real"):
        if "skipped" in row:
            table.add_row(row["scenario"], NO_VALUE, row["skipped"])
        elif "windows" in row:
            rivers = "; ".join(
                f"{name} {river['windows_hit']}, {river['false_alarms']} false" for name, river in row["rivers"].items()
            )
            hits = f"{row['windows_hit']} of {row['windows']} windows, {row['false_alarms']} false alarms ({rivers})"
            table.add_row(row["scenario"], f"{row['series_ready']} of {row['series']} series", hits)
        else:
            fired = ", ".join(f"{name} x{count}" for name, count in row["fired"]) or "nothing"
            weekly = ", ".join(f"{name} {count:,.0f}" for name, count in row["river_alarms_a_week"].items())
            pages = f"{row['firings_a_week']['page']:.1f} pages per week" if "forced" in row["scenario"] else ""
            table.add_row(row["scenario"], row["ready_at"] or NO_VALUE, f"{fired} {pages} (per week: {weekly})")
    console.print(table)
