"""Replay of files through the real pipeline with event time as the only clock, to find past drifts and incidents.

Without a cluster, the replay starts a temporary topology and removes it afterwards.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from load.errors import LoadError
from load.harness import Outcome, check_topics, progress_bar, run_against, temporary_topology, wait_for_lag
from load.traffic.liveness import is_live
from load.traffic.outcome_tables import show_outcome
from load.traffic.outgoing_message import OutgoingMessage
from load.traffic.producer import ProduceResult, produce
from pipeline.detect.settings import DetectSettings
from pipeline.intake import MappingSettings
from pipeline.plain_text import plain_text
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.timestamp import format_timestamp
from schemas.topics import DAY_MS, DEPLOYMENTS, DRIFTS, RECORDS
from topologies.baselines import publish_baseline, read_baseline_file
from topologies.configuration import Configuration
from topologies.kafka import Cluster
from topologies.record_files import (
    ReadOptions,
    RecordFile,
    merge_by_event_time,
    open_records,
    read_deployments,
    render_guesses,
)

LIVE_LATENESS_MAX_MS = 7 * DAY_MS
"""Maximum age of a record for a live topology, in milliseconds."""

BASELINE_PAUSE_S = 2.0
"""Seconds to wait before the first record, until running workers have applied the baselines."""

SUBJECTS_SHOWN_MAX = 10
"""Maximum number of subjects listed in a message."""


@dataclass(slots=True)
class Span:
    """Content of the files: messages, rows that give none, first and last event time in Unix ms, and subjects.

    ``unreadable`` messages are lines that are not records. They are sent unchanged.
    """

    messages: int = 0
    unreadable: int = 0
    unusable_rows: int = 0
    first_ms: int = 0
    last_ms: int = 0
    subjects: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ReplayReport:
    """Result of a replay: the messages sent, and the outcome."""

    span: Span
    produced: ProduceResult
    deployments: int
    outcome: Outcome
    published: list[Baseline]

    @property
    def monitored_subjects(self) -> list[str]:
        """Subjects whose baseline became ready before the end of the replay."""
        return sorted(
            {baseline.subject for baseline in (*self.published, *self.outcome.baselines)} & self.span.subjects
        )

    @property
    def unmonitored_subjects(self) -> list[str]:
        """Subjects whose baseline did not become ready before the end of the replay."""
        return sorted(self.span.subjects - set(self.monitored_subjects))

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "messages": self.produced.messages,
            "lines_that_are_no_record": self.produced.unreadable,
            "unusable_rows": self.span.unusable_rows,
            "bytes": self.produced.bytes,
            "first": format_timestamp(self.span.first_ms),
            "last": format_timestamp(self.span.last_ms),
            "seconds_sending": round(self.produced.seconds, 3),
            "deployments": self.deployments,
            "subjects": sorted(self.span.subjects),
            "subjects_judged": self.monitored_subjects,
            "baselines_published": [baseline.subject for baseline in self.published],
        } | self.outcome.to_json()

    def show(self, console: Console) -> None:
        """Print the messages sent and the outcome, with a prominent warning if subjects were not monitored."""
        span = self.span
        console.print(
            f"[bold]Replayed[/] {self.produced.messages:,} messages of {len(span.subjects)} subjects, "
            f"{format_timestamp(span.first_ms)} to {format_timestamp(span.last_ms)}, "
            f"and {self.deployments} deployments"
        )
        if self.produced.unreadable:
            console.print(f"[yellow]{self.produced.unreadable:,} lines are not records and were sent unchanged[/]")
        if span.unusable_rows:
            console.print(f"[yellow]{span.unusable_rows:,} rows could not be used and were not sent[/]")
        show_outcome(self.outcome, console)
        unmonitored = self.unmonitored_subjects
        if unmonitored:
            more = " ..." if len(unmonitored) > SUBJECTS_SHOWN_MAX else ""
            shown = ", ".join(unmonitored[:SUBJECTS_SHOWN_MAX]) + more
            console.print(
                f"[bold red]NOTHING WAS MONITORED for {len(unmonitored)} of {len(span.subjects)} subjects[/] "
                f"({escape(plain_text(shown))}): no baseline was ready before the end, so an empty result proves "
                f"nothing. Choose readiness settings that suit the data (--ready-after 30m --ready-records 5000), or "
                f"supply a baseline "
                "(--baseline FILE)."
            )


@dataclass(frozen=True, slots=True)
class Replay:
    """Replay of files.

    Attributes
    ----------
    files, deployments, baselines
        Files of records (NDJSON, JSON, CSV, Parquet), of deployments (NDJSON) and of baselines (JSON).
    mapping, reading
        Mapping of the columns or keys of the files to fields, and options of the reading.
    speed
        Seconds of event time per second; 0 means as fast as possible.
    ready_after_s, ready_records
        Readiness settings of baselines in a temporary topology. If None, the value of the configuration is used.
    cluster
        The Kafka cluster of a running topology. If None, the replay starts a temporary topology.
    now_ms
        Time to which the last record is shifted, in Unix ms. If None, no times are shifted.
    wall_ms
        Wall-clock time in Unix ms, used to reject files that are too old for a live topology.
    time_zone
        Time zone of times without an offset, from ``detect.time_zone``. If None, records with such times are not
        readable.
    """

    files: tuple[Path, ...]
    deployments: tuple[Path, ...] = ()
    baselines: tuple[Path, ...] = ()
    mapping: MappingSettings = field(default_factory=MappingSettings)
    reading: ReadOptions = field(default_factory=ReadOptions)
    speed: float = 0.0
    ready_after_s: float | None = None
    ready_records: int | None = None
    cluster: Cluster | None = None
    now_ms: int | None = None
    wall_ms: int = 0
    time_zone: str | None = None

    def open(self) -> list[RecordFile]:
        """Open the files of records."""
        return open_records(self.files, self.mapping, time_zone=self.time_zone, options=self.reading)

    def read_messages(self, files: Sequence[RecordFile]) -> Iterator[OutgoingMessage]:
        """Read the messages of all files, merged by event time. Rows that give no record are left out."""
        for line in merge_by_event_time(files):
            if line.value is not None:
                key = None if line.subject is None else line.subject.encode()
                yield OutgoingMessage(line.time_ms, key, line.value, not line.problem, self.time_zone)

    def measure(self, files: Sequence[RecordFile]) -> Span:
        """Read the files once to find errors before any message is sent.

        Raises
        ------
        LoadError
            If a file cannot be read, or if the files contain no record.
        """
        span = Span()
        for message in self.read_messages(files):
            span.messages += 1
            if not message.readable:
                span.unreadable += 1
                continue
            span.first_ms = min(span.first_ms, message.time_ms) if span.first_ms else message.time_ms
            span.last_ms = max(span.last_ms, message.time_ms)
            if message.key is not None:
                span.subjects.add(message.key.decode())
        if span.messages == span.unreadable:
            raise LoadError(
                f"{', '.join(map(str, self.files))}: no line contains a record with a subject and a timestamp"
            )
        span.unusable_rows = sum(file.unusable.total() for file in files) - span.unreadable
        return span

    async def run(self, configuration: Configuration, console: Console) -> ReplayReport:
        """Send the records, wait until the steps have read all messages, and collect the outcome.

        Raises
        ------
        DriftwireError
            If a file, the cluster or the topology fails.
        """
        files = self.open()
        console.print(render_guesses([file.guess for file in files]))
        span = self.measure(files)
        deployments = [deployment for path in self.deployments for deployment in read_deployments(path)]
        baselines = [read_baseline_file(path) for path in self.baselines]
        shift_ms = 0 if self.now_ms is None else self.now_ms - span.last_ms
        span.first_ms, span.last_ms = span.first_ms + shift_ms, span.last_ms + shift_ms
        shipment = _Shipment(self, files, span, deployments, baselines, shift_ms)
        if self.cluster is not None:
            await _refuse_old_records(self.cluster, span.last_ms, self.wall_ms)
            for baseline in baselines:
                await publish_baseline(self.cluster, baseline)
            await asyncio.sleep(BASELINE_PAUSE_S if baselines else 0)
            return await shipment.send(configuration.with_cluster(self.cluster), console)
        console.print("starting Kafka and the three steps for this replay ...")
        configured = self._with_readiness(configuration)
        async with temporary_topology(configured, baselines=baselines, console=console) as topology:
            return await run_against(topology, shipment.send(topology.configuration, console))

    def _with_readiness(self, configuration: Configuration) -> Configuration:
        readiness = configuration.detect.readiness(self.ready_after_s, self.ready_records)
        try:
            detect = DetectSettings.model_validate(configuration.detect.model_dump() | readiness)
        except ValidationError as error:
            first = error.errors()[0]
            raise LoadError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return configuration.model_copy(update={"detect": detect})


async def _refuse_old_records(cluster: Cluster, last_ms: int, wall_ms: int) -> None:
    await check_topics(cluster, [RECORDS, DEPLOYMENTS], right="Write")
    await check_topics(cluster, [DRIFTS], right="Read")
    try:
        with cluster.requiring("Read", DRIFTS):
            live = await is_live(cluster)
    except (KafkaError, OSError) as error:
        raise LoadError(f"Kafka at {cluster} stopped answering: {error}: check that Kafka is still running") from error
    if live and last_ms < wall_ms - LIVE_LATENESS_MAX_MS:
        raise LoadError(
            f"the records end at {format_timestamp(last_ms)}, and the live topology at {cluster} dead-letters records "
            "older than 7 days: restart the topology with driftwire up --replay, or shift the times with --now"
        )


@dataclass(frozen=True, slots=True)
class _Shipment:
    """Messages that a replay sends, with their times shifted by ``shift_ms`` milliseconds."""

    replay: Replay
    files: list[RecordFile]
    span: Span
    deployments: list[Deployment]
    baselines: list[Baseline]
    shift_ms: int

    async def send(self, configuration: Configuration, console: Console) -> ReplayReport:
        cluster = configuration.kafka.cluster
        before = await Outcome.read_ends(cluster)
        await produce(cluster, self._deployment_messages(), topic=DEPLOYMENTS)
        with progress_bar(console) as progress:
            task = progress.add_task("sending records", total=self.span.messages)
            produced = await produce(
                cluster,
                (message.shift(self.shift_ms) for message in self.replay.read_messages(self.files)),
                speed=self.replay.speed,
                on_progress=lambda sent: progress.update(task, completed=sent),
            )
            progress.update(task, completed=produced.messages)
            await wait_for_lag(cluster, configuration.kafka.app_id, on_progress=_lag_bars(progress))
        outcome = await Outcome.collect(cluster, before)
        return ReplayReport(self.span, produced, len(self.deployments), outcome, self.baselines)

    def _deployment_messages(self) -> Iterator[OutgoingMessage]:
        for deployment in self.deployments:
            shifted = deployment.model_copy(update={"timestamp": deployment.timestamp + self.shift_ms})
            yield OutgoingMessage(deployment.timestamp, deployment.deployment_id.encode(), shifted.to_json())


def _lag_bars(progress: Progress) -> Callable[[str, int, int], None]:
    """Return a callback that shows the lag of each step as a progress bar."""
    tasks = {}

    def show_lag(step: str, read: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = progress.add_task(f"{step} reads it", total=total)
        progress.update(tasks[step], completed=read, total=total)

    return show_lag
