"""Replaying files through the real pipeline: what would have been found, with event time as the only clock.

Without a bootstrap address a topology of its own is started in a temporary folder, and nothing is left behind.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from load.errors import LoadError
from load.inputs import CsvMapping, Line, in_event_time_order, read_deployments, read_records, shifted
from load.stage import (
    Outcome,
    collect,
    places,
    plainly,
    progress_bar,
    stage,
    step_bars,
    unless_it_fails,
    wait_until_settled,
)
from load.traffic.liveness import is_live
from load.traffic.produce import Produced, produce
from load.traffic.show_outcome import show_outcome
from pipeline.detect.settings import DetectSettings
from pipeline.wording import one_line
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.timestamp import format_timestamp
from schemas.topics import DAY_MS, DEPLOYMENTS
from topologies.baselines import publish_baseline, read_baseline_file
from topologies.configuration import Configuration

LIVE_LATE_MAX_MS = 7 * DAY_MS
"""Milliseconds: how old a record may be for a pipeline that runs live."""

BASELINE_PAUSE_S = 2.0
"""Seconds for workers that run already to take up a baseline before the first record comes."""

NAMED_MAX = 10
"""Subjects that are named where something is said of many."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What to replay, and how.

    Attributes
    ----------
    files, deployments, baselines
        Files of records (NDJSON, gzipped NDJSON, CSV), of deployments (NDJSON) and of baselines (JSON).
    mapping
        How the columns of a CSV become records.
    speed
        Seconds of event time a second; 0 is as fast as possible.
    ready_after_s, ready_records
        What a baseline that is learned on the way needs, in a topology of our own; None is the configuration's.
    bootstrap
        A topology that runs already; None starts one.
    now_ms
        Shift all times so that the last record is then; None keeps them.
    wall_ms
        The wall clock, to tell whether the files are too old for a topology that runs live.
    """

    files: tuple[Path, ...]
    deployments: tuple[Path, ...] = ()
    baselines: tuple[Path, ...] = ()
    mapping: CsvMapping | None = None
    speed: float = 0.0
    ready_after_s: float | None = None
    ready_records: int | None = None
    bootstrap: str | None = None
    now_ms: int | None = None
    wall_ms: int = 0


@dataclass(slots=True)
class Span:
    """What the files hold: messages, and the first and last event time in Unix ms."""

    messages: int = 0
    unreadable: int = 0
    first_ms: int = 0
    last_ms: int = 0
    subjects: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Report:
    """What was sent and what was found."""

    span: Span
    produced: Produced
    deployments: int
    outcome: Outcome
    published: list[Baseline]

    @property
    def judged_subjects(self) -> list[str]:
        """Subjects that had a baseline before the replay's end."""
        return sorted(
            {baseline.subject for baseline in (*self.published, *self.outcome.baselines)} & self.span.subjects
        )

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "messages": self.produced.messages,
            "lines_that_are_no_record": self.produced.unreadable,
            "bytes": self.produced.bytes,
            "first": format_timestamp(self.span.first_ms),
            "last": format_timestamp(self.span.last_ms),
            "seconds_sending": round(self.produced.seconds, 3),
            "deployments": self.deployments,
            "subjects": sorted(self.span.subjects),
            "subjects_judged": self.judged_subjects,
            "baselines_published": [baseline.subject for baseline in self.published],
        } | self.outcome.to_json()


def lines_of(replay: Replay) -> Iterator[Line]:
    """All records of the files, joined by event time."""
    return in_event_time_order([read_records(path, replay.mapping) for path in replay.files])


def measure(replay: Replay) -> Span:
    """Read the files once: every error in them is found before anything is sent.

    Raises
    ------
    LoadError
        As :func:`load.inputs.files.read_records`; or if there is not one record in them.
    """
    span = Span()
    for line in lines_of(replay):
        span.messages += 1
        if not line.readable:
            span.unreadable += 1
            continue
        span.first_ms = min(span.first_ms, line.time_ms) if span.first_ms else line.time_ms
        span.last_ms = max(span.last_ms, line.time_ms)
        if line.key is not None:
            span.subjects.add(line.key.decode())
    if span.messages == span.unreadable:
        raise LoadError(f"{', '.join(map(str, replay.files))}: no line is a record with a subject and a timestamp")
    return span


async def run(replay: Replay, configuration: Configuration, console: Console) -> Report:
    """Replay, wait until everything has been taken up, and read what was found.

    Raises
    ------
    DriftwireError
        In one line: a file, the cluster or the topology is not as it must be.
    """
    span = measure(replay)
    deployments = [each for path in replay.deployments for each in read_deployments(path)]
    published = [read_baseline_file(path) for path in replay.baselines]
    by_ms = 0 if replay.now_ms is None else replay.now_ms - span.last_ms
    span.first_ms, span.last_ms = span.first_ms + by_ms, span.last_ms + by_ms
    cargo = _Cargo(replay, span, deployments, published, by_ms)
    if replay.bootstrap is not None:
        await _refuse_old_times_live(replay.bootstrap, span.last_ms, replay.wall_ms)
        for baseline in published:
            await publish_baseline(replay.bootstrap, baseline)
        await asyncio.sleep(BASELINE_PAUSE_S if published else 0)
        return await _send(cargo, configuration.with_bootstrap(replay.bootstrap), console)
    console.print("starting Kafka and the three steps for this replay ...")
    own = _ready_as_asked(configuration, replay)
    async with stage(own, baselines=published, say=plainly(console)) as topology:
        return await unless_it_fails(topology, _send(cargo, topology.configuration, console))


@dataclass(frozen=True, slots=True)
class _Cargo:
    replay: Replay
    span: Span
    deployments: list[Deployment]
    published: list[Baseline]
    by_ms: int


async def _refuse_old_times_live(bootstrap: str, last_ms: int, wall_ms: int) -> None:
    try:
        live = await is_live(bootstrap)
    except (KafkaError, OSError) as error:
        raise LoadError(
            f"no Kafka answers at {bootstrap}: start one (driftwire up --replay), or name another"
        ) from error
    if live and last_ms < wall_ms - LIVE_LATE_MAX_MS:
        raise LoadError(
            f"the records end at {format_timestamp(last_ms)}, and the topology at {bootstrap} runs live, where records "
            f"older than 7 days are dead letters: start it with driftwire up --replay, or shift the times with --now"
        )


def _ready_as_asked(configuration: Configuration, replay: Replay) -> Configuration:
    """The configuration with the readiness that this replay names for itself."""
    asked = configuration.detect.readiness(replay.ready_after_s, replay.ready_records)
    try:
        detect = DetectSettings.model_validate(configuration.detect.model_dump() | asked)
    except ValidationError as error:
        raise LoadError(one_line(error)) from error
    return configuration.model_copy(update={"detect": detect})


async def _send(cargo: _Cargo, configuration: Configuration, console: Console) -> Report:
    bootstrap, by_ms = configuration.kafka.bootstrap, cargo.by_ms
    before = await places(bootstrap)
    deployed = [
        Line(each.timestamp, each.deployment_id.encode(), each.model_copy(update={"timestamp": each.timestamp + by_ms}).to_json())
        for each in cargo.deployments
    ]  # fmt: skip
    await produce(bootstrap, deployed, name=DEPLOYMENTS)
    with progress_bar(console) as progress:
        task = progress.add_task("sending records", total=cargo.span.messages)
        produced = await produce(
            bootstrap,
            (shifted(line, by_ms) for line in lines_of(cargo.replay)),
            speed=cargo.replay.speed,
            on_progress=lambda sent: progress.update(task, completed=sent),
        )
        progress.update(task, completed=produced.messages)
        await wait_until_settled(bootstrap, configuration.kafka.app_id, on_progress=step_bars(progress))
    outcome = await collect(bootstrap, before)
    return Report(cargo.span, produced, len(cargo.deployments), outcome, cargo.published)


def show(report: Report, console: Console) -> None:
    """Print what was sent, what was found, and loudly what was not judged at all."""
    span = report.span
    console.print(
        f"[bold]Replayed[/] {report.produced.messages:,} messages of {len(span.subjects)} subjects, "
        f"{format_timestamp(span.first_ms)} to {format_timestamp(span.last_ms)}, and {report.deployments} deployments"
    )
    if report.produced.unreadable:
        console.print(f"[yellow]{report.produced.unreadable:,} lines are no records and were sent as they stand[/]")
    show_outcome(console, report.outcome)
    missing = sorted(span.subjects - set(report.judged_subjects))
    if missing:
        shown = ", ".join(missing[:NAMED_MAX]) + (" ..." if len(missing) > NAMED_MAX else "")
        console.print(
            f"[bold red]NOTHING WAS JUDGED for {len(missing)} of {len(span.subjects)} subjects[/] ({escape(shown)}): no baseline "
            "was ready before the end, so that silence proves nothing. Ask for a readiness that fits the data "
            "(--ready-after 30m --ready-records 5000), or give a baseline (--baseline FILE)."
        )
