"""The demo: the whole product on this machine, with failures that are planted and must be found, in under a minute."""

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

from load.demo.story import RECORDS_PER_SECOND, START_MS, Story, story
from load.demo.verdict import Finding, Verdict, judge
from load.inputs import Line
from load.stage import collect, plainly, progress_bar, stage, unless_it_fails, wait_until_settled
from load.traffic import produce
from load.world import SUBJECT, World, generate, healthy_baseline, json_lines
from schemas.incident import Incident
from schemas.timestamp import clock_time
from schemas.topics import ALERTS, DEPLOYMENTS
from topologies.configuration import Configuration
from topologies.console import render_card
from topologies.kafka import follow_topic, write_message
from topologies.processes import Topology

SPEED = 200.0
"""Seconds of event time a second: half an hour in ten seconds."""

LOOK_S = 0.7
"""Seconds between two looks at the alerts: revisions that follow each other at once are shown as one."""

LAST_LOOK_S = 1.5
"""Seconds to show what the last records brought, once all have been taken up."""


@dataclass(slots=True)
class Played:
    """How the demo went."""

    seed: int
    verdict: Verdict
    records: int
    dead_letters: int
    seconds: float

    @property
    def right(self) -> bool:
        """Whether what was found is what was planted, and every record was used."""
        return self.verdict.agrees and not self.dead_letters

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "seed": self.seed,
            "right": self.right,
            "records": self.records,
            "dead_letters": self.dead_letters,
            "seconds": round(self.seconds, 1),
            "findings": [finding.to_json() for finding in self.verdict.findings],
            "unplanned_incidents": [incident.title for incident in self.verdict.unplanned],
        }


async def play(seed: int, console: Console, folder: Path | None = None) -> Played:
    """Play the story once.

    Parameters
    ----------
    seed
        Of the simulated world.
    console
        Where progress and incident cards go.
    folder
        Where to keep the broker's data and logs; None keeps nothing.

    Raises
    ------
    DriftwireError
        In one line, if broker or workers fail.
    """
    started = time.monotonic()
    told, configuration = story(), Configuration()
    console.print(f"[bold]1[/] Learning what is normal for {SUBJECT} from a healthy day (seed {seed}) ...")
    baseline = healthy_baseline(seed, START_MS, RECORDS_PER_SECOND, configuration.detect)
    console.print(f"  {baseline.records:,} records, {len(baseline.signals)} signals")
    console.print("[bold]2[/] Starting Kafka, detect, correlate and route ...")
    async with stage(configuration, baselines=(baseline,), folder=folder, say=plainly(console)) as topology:
        console.print("[bold]3[/] Playing 34 minutes of traffic: three deployments, two of which break something")
        records = await unless_it_fails(topology, _play_and_show(told, seed, topology, console))
        outcome = await collect(topology.bootstrap)
    verdict = judge(told.planted, outcome.incidents)
    return Played(seed, verdict, records, sum(outcome.dead_letters.values()), time.monotonic() - started)


async def _play_and_show(told: Story, seed: int, topology: Topology, console: Console) -> int:
    bootstrap = topology.bootstrap
    with progress_bar(console) as progress:
        showing = asyncio.create_task(_show_incidents(bootstrap, console))
        try:
            records = await _play(told, seed, bootstrap, progress, console)
            await wait_until_settled(bootstrap, topology.configuration.kafka.app_id)
            await asyncio.sleep(LAST_LOOK_S)
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
    return records


async def _play(told: Story, seed: int, bootstrap: str, progress: Progress, console: Console) -> int:
    """Send records and deployments in the order of their time."""
    world = World(seed, START_MS, RECORDS_PER_SECOND, told.plan)
    lines = [
        Line(time_ms, SUBJECT.encode(), value)
        for columns in generate(world, until_ms=told.end_ms)
        for time_ms, value in zip(columns.times_ms.tolist(), json_lines(columns, seed=seed), strict=True)
    ]
    task = progress.add_task("playing", total=len(lines))
    sent = 0
    for deployment in (*told.plan.deployments, None):
        stop = (
            len(lines)
            if deployment is None
            else bisect_left(lines, deployment.timestamp, key=lambda line: line.time_ms)
        )
        advance = partial(_advance, progress, task, sent)
        sent += (await produce(bootstrap, lines[sent:stop], speed=SPEED, on_progress=advance)).messages
        if deployment is not None:
            await write_message(bootstrap, DEPLOYMENTS, deployment.deployment_id.encode(), deployment.to_json())
            name = f" {deployment.name}" if deployment.name else ""
            console.print(
                f"  {clock_time(deployment.timestamp)}  [cyan]deployed[/] {deployment.kind}{name} "
                f"{deployment.from_version} -> {deployment.to_version}"
            )
    return sent


def _advance(progress: Progress, task: TaskID, before: int, sent: int) -> None:
    progress.update(task, completed=before + sent)


async def _show_incidents(bootstrap: str, console: Console) -> None:
    """A card for each incident that opens, and a line for what has changed since."""
    newest: dict[str, Incident] = {}
    listening = asyncio.create_task(_listen(bootstrap, newest))
    shown: dict[str, int] = {}
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            for incident_id, incident in list(newest.items()):
                if incident_id not in shown:
                    console.print(render_card(incident))
                elif incident.revision > shown[incident_id]:
                    console.print(
                        f"  {clock_time(incident.updated_at)}  [bold]{incident.severity} {incident.status}[/] "
                        f"{escape(incident.title)}: {escape(incident.change)}"
                    )
                shown[incident_id] = incident.revision
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(bootstrap: str, newest: dict[str, Incident]) -> None:
    async with aclosing(follow_topic(bootstrap, ALERTS, from_start=True)) as messages:
        async for message in messages:
            incident = Incident.from_json(message.value or b"")
            newest[incident.incident_id] = incident


def show(played: Played, console: Console) -> None:
    """Print planted against found."""
    table = Table(title="Planted / found", title_justify="left")
    table.add_column("")
    for each in played.verdict.findings:
        table.add_column(each.planted.failure)
    for name, told in ROWS.items():
        table.add_row(name, *(told(each) for each in played.verdict.findings))
    console.print(table)
    for incident in played.verdict.unplanned:
        console.print(f"[red]not planted:[/] {incident.severity} {escape(incident.title)} ({incident.incident_id})")
    if played.dead_letters:
        console.print(f"[red]{played.dead_letters} records became dead letters[/]")
    word = "[bold green]All found, and nothing else.[/]" if played.right else "[bold red]Found and planted differ.[/]"
    console.print(f"{word} {played.records:,} records, seed {played.seed}, {played.seconds:.0f} s.")


ROWS: dict[str, Callable[[Finding], str]] = {
    "severity": lambda each: f"{each.planted.severity} / {each.incident.severity if each.incident else 'none'}",
    "start": lambda each: (
        f"{clock_time(each.planted.at_ms)} / {clock_time(each.incident.started_at) if each.incident else 'none'}"
    ),
    "seen after": lambda each: f"{each.detection_gap_s:.1f} s" if each.detection_gap_s is not None else "never",
    "suspect": lambda each: f"{each.planted.suspect} / {each.suspect or 'none'}",
    "status at the end": lambda each: each.incident.status if each.incident else "none",
    "agrees": lambda each: "[red]" + "; ".join(each.wrong) + "[/]" if each.wrong else "[green]yes[/]",
}
"""The rows of the last table: what was planted, and what was found."""
