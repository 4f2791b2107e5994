"""Playback of the demo, which runs all of driftwire on this machine and must find planted failures."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from load.demo.story import RECORDS_PER_SECOND, START_MS, Story, build_story
from load.demo.verdict import FailureMatch, Verdict, compare
from load.harness import Outcome, progress_bar, run_against, temporary_topology, wait_for_lag
from load.traffic import OutgoingMessage, produce
from load.world import SUBJECT, World, healthy_baseline, json_lines
from pipeline.plain_text import plain_text
from schemas.incident import Incident
from schemas.timestamp import clock_time
from schemas.topics import ALERTS, DEPLOYMENTS
from topologies.configuration import Configuration
from topologies.console import render_card
from topologies.kafka import Cluster, follow_topic, write_message
from topologies.processes import Topology

SPEED = 200.0
"""Seconds of event time per second."""

POLL_S = 0.7
"""Seconds between two reads of the alerts topic. The demo shows only the newest revision of an incident per read."""

FINAL_PAUSE_S = 1.5
"""Seconds for which revisions are still shown after the steps have read all messages."""


@dataclass(slots=True)
class DemoResult:
    """Result of a demo."""

    seed: int
    verdict: Verdict
    records: int
    dead_letters: int
    seconds: float

    @property
    def is_right(self) -> bool:
        """True if exactly the planted failures were found, and no record became a dead letter."""
        return self.verdict.agrees and not self.dead_letters

    def to_json(self) -> dict[str, Any]:
        """Return the result for ``--json``."""
        return {
            "seed": self.seed,
            "right": self.is_right,
            "records": self.records,
            "dead_letters": self.dead_letters,
            "seconds": round(self.seconds, 1),
            "findings": [match.to_json() for match in self.verdict.matches],
            "unplanned_incidents": [incident.title for incident in self.verdict.unplanned],
        }

    def show(self, console: Console) -> None:
        """Print the planted failures and the incidents that were found."""
        table = Table(title="Planted / found", title_justify="left")
        table.add_column("")
        for match in self.verdict.matches:
            table.add_column(match.planted.failure)
        for name, format_cell in ROWS.items():
            table.add_row(name, *map(format_cell, self.verdict.matches))
        console.print(table)
        for incident in self.verdict.unplanned:
            console.print(
                f"[red]not planted:[/] {incident.severity} {escape(plain_text(incident.title))} ({incident.incident_id})"
            )
        if self.dead_letters:
            console.print(f"[red]{self.dead_letters} records became dead letters[/]")
        summary = (
            "[bold green]All planted failures were found, and nothing else.[/]"
            if self.is_right
            else "[bold red]The planted failures and the incidents differ.[/]"
        )
        console.print(f"{summary} {self.records:,} records, seed {self.seed}, {self.seconds:.0f} s.")


async def play_demo(seed: int, console: Console, folder: Path | None = None) -> DemoResult:
    """Play the scenario once.

    Parameters
    ----------
    seed
        Seed of the simulated service.
    console
        Console for progress and incident cards.
    folder
        Folder for the data and logs of the broker. If None, a temporary folder is used and removed at the end.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    started_s = time.monotonic()
    story, configuration = build_story(), Configuration()
    console.print(f"[bold]1[/] Learning the baseline of {SUBJECT} from a healthy day (seed {seed}) ...")
    baseline = healthy_baseline(seed, START_MS, RECORDS_PER_SECOND, configuration.detect)
    console.print(f"  {baseline.records:,} records, {len(baseline.signals)} signals")
    console.print("[bold]2[/] Starting Kafka, detect, correlate and route ...")
    async with temporary_topology(configuration, baselines=(baseline,), folder=folder, console=console) as topology:
        console.print("[bold]3[/] Playing 34 minutes of traffic: three deployments, two of which cause a failure")
        records = await run_against(topology, _play_and_show(story, seed, topology, console))
        outcome = await Outcome.collect(topology.cluster)
    verdict = compare(story.planted, outcome.incidents)
    return DemoResult(seed, verdict, records, sum(outcome.dead_letters.values()), time.monotonic() - started_s)


async def _play_and_show(story: Story, seed: int, topology: Topology, console: Console) -> int:
    cluster = topology.cluster
    with progress_bar(console) as progress:
        showing = asyncio.create_task(_show_incidents(cluster, console))
        try:
            records = await _send_story(story, seed, cluster, progress, console)
            await wait_for_lag(cluster, topology.configuration.kafka.app_id)
            await asyncio.sleep(FINAL_PAUSE_S)
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
    return records


async def _send_story(story: Story, seed: int, cluster: Cluster, progress: Progress, console: Console) -> int:
    """Send the records and deployments in time order, and return the number of records."""
    world = World(seed, START_MS, RECORDS_PER_SECOND, story.failures, story.deployments)
    messages = [
        OutgoingMessage(time_ms, SUBJECT.encode(), value)
        for columns in world.generate(until_ms=story.end_ms)
        for time_ms, value in zip(columns.times_ms.tolist(), json_lines(columns, seed=seed), strict=True)
    ]
    task = progress.add_task("playing", total=len(messages))
    sent = 0
    for deployment in (*story.deployments, None):
        stop = (
            len(messages)
            if deployment is None
            else bisect_left(messages, deployment.timestamp, key=lambda message: message.time_ms)
        )
        advance = partial(_advance, progress, task, sent)
        sent += (await produce(cluster, messages[sent:stop], speed=SPEED, on_progress=advance)).messages
        if deployment is not None:
            await write_message(cluster, DEPLOYMENTS, deployment.deployment_id.encode(), deployment.to_json())
            name = f" {deployment.name}" if deployment.name else ""
            console.print(
                f"  {clock_time(deployment.timestamp)}  [cyan]deployed[/] {deployment.kind}{name} "
                f"{deployment.from_version} -> {deployment.to_version}"
            )
    return sent


def _advance(progress: Progress, task: TaskID, sent_before: int, sent: int) -> None:
    progress.update(task, completed=sent_before + sent)


async def _show_incidents(cluster: Cluster, console: Console) -> None:
    """Print a card when an incident opens, and a line for each later revision."""
    newest: dict[str, Incident] = {}
    following = asyncio.create_task(_follow_incidents(cluster, newest))
    shown_revisions: dict[str, int] = {}
    try:
        while True:
            await asyncio.sleep(POLL_S)
            for incident_id, incident in list(newest.items()):
                if incident_id not in shown_revisions:
                    console.print(render_card(incident))
                elif incident.revision > shown_revisions[incident_id]:
                    console.print(
                        f"  {clock_time(incident.updated_at)}  [bold]{incident.severity} {incident.status}[/] "
                        f"{escape(plain_text(incident.title))}: {escape(plain_text(incident.change))}"
                    )
                shown_revisions[incident_id] = incident.revision
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _follow_incidents(cluster: Cluster, newest: dict[str, Incident]) -> None:
    async with aclosing(follow_topic(cluster, ALERTS, from_start=True)) as messages:
        async for message in messages:
            incident = Incident.from_json(message.value or b"")
            newest[incident.incident_id] = incident


def _severities(match: FailureMatch) -> str:
    return f"{match.planted.severity} / {match.incident.severity if match.incident else 'none'}"


def _starts(match: FailureMatch) -> str:
    return f"{clock_time(match.planted.at_ms)} / {clock_time(match.incident.started_at) if match.incident else 'none'}"


ROWS: dict[str, Callable[[FailureMatch], str]] = {
    "severity": _severities,
    "start": _starts,
    "detected after": lambda match: f"{match.detection_gap_s:.1f} s" if match.detection_gap_s is not None else "never",
    "suspect": lambda match: f"{match.planted.suspect} / {match.suspect or 'none'}",
    "status at the end": lambda match: match.incident.status if match.incident else "none",
    "agrees": lambda match: "[red]" + "; ".join(match.wrong) + "[/]" if match.wrong else "[green]yes[/]",
}
"""Rows of the result table: a name, and a function that formats the cell."""
