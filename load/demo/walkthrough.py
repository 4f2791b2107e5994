"""Walkthrough of one incident on a real Kafka, from the deployment that caused it to the draft of its review.

People and pipelines act through ``driftwire`` commands, and the scenario sets the time of each command. The same seed
therefore always produces the same review.
"""

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from load.demo.story import MINUTE_MS, RECORDS_PER_SECOND, START_MS
from load.harness import Outcome, run_against, temporary_topology, wait_for_lag
from load.traffic import OutgoingMessage, produce
from load.world import SUBJECT, SimulatedFailure, World, healthy_baseline, json_lines
from schemas.deployment import Deployment
from schemas.incident import Incident
from schemas.timestamp import format_timestamp
from schemas.topics import ALERTS
from topologies.configuration import Configuration
from topologies.console import render_card
from topologies.errors import DriftwireError
from topologies.incident_history import parse_incidents
from topologies.kafka import Cluster, read_topic
from topologies.processes import Topology, child_environment

FAILURE = "pii_exposure"
INDEX_DEPLOYED_MS = START_MS + 4 * MINUTE_MS
PROMPT_DEPLOYED_MS = START_MS + 10 * MINUTE_MS
RESPONSE_BEGINS_MS = START_MS + 13 * MINUTE_MS
ROLLED_BACK_MS = START_MS + 17 * MINUTE_MS
END_MS = START_MS + 26 * MINUTE_MS

EXPECTED_STATUSES = ("open", "acknowledged", "mitigated", "resolved")
CAUSE = "prompt-42"

FILE_NAME = "example"
"""File name of the draft and its chart, without the suffix."""


@dataclass(frozen=True, slots=True)
class WalkthroughResult:
    """Revisions of the incident, and the files of its draft review."""

    revisions: list[Incident]
    draft: Path
    picture: Path

    @property
    def statuses(self) -> tuple[str, ...]:
        """Statuses of the incident in order."""
        return tuple(dict.fromkeys(revision.status for revision in self.revisions))

    @property
    def problems(self) -> list[str]:
        """Differences from the expected incident."""
        last, problems = self.revisions[-1], []
        if self.statuses != EXPECTED_STATUSES:
            problems.append(f"its statuses were {', '.join(self.statuses)}, expected {', '.join(EXPECTED_STATUSES)}")
        if not last.suspects or last.suspects[0].deployment_id != CAUSE:
            problems.append("its first suspect is not the prompt that caused it")
        if last.severity != "P1" or last.failure_mode != FAILURE:
            problems.append(f"it is {last.severity} {last.failure_mode}, expected P1 {FAILURE}")
        return problems


async def play_walkthrough(seed: int, folder: Path, console: Console) -> WalkthroughResult:
    """Play the walkthrough once, and write the draft review and its chart to a folder.

    Raises
    ------
    DriftwireError
        If the broker, a worker or a command fails, or if not exactly one incident opens.
    """
    configuration = Configuration()
    correlate = configuration.correlate.model_copy(
        update={"regimes": ("au_privacy", "gdpr"), "kill_switches": {SUBJECT: "support_bot_enabled"}}
    )
    configuration = configuration.model_copy(update={"correlate": correlate})
    console.print(f"Learning the baseline of {SUBJECT} from a healthy day (seed {seed}), and starting Kafka ...")
    baseline = healthy_baseline(seed, START_MS, RECORDS_PER_SECOND, configuration.detect)
    async with temporary_topology(configuration, baselines=(baseline,), console=console) as topology:
        return await run_against(topology, _play(seed, folder, topology, console))


async def _play(seed: int, folder: Path, topology: Topology, console: Console) -> WalkthroughResult:
    cluster = topology.cluster

    async def driftwire(*arguments: str) -> None:
        await asyncio.to_thread(_run_command, cluster, arguments, console)

    deployed = ("deployed", "--subject", SUBJECT, "--kind")
    index = ("index", "--from", "idx-9", "--to", "idx-10", "--id", "index-10")
    prompt = ("prompt", "--from", "v41", "--to", "v42", "--id", CAUSE)
    rollback = ("prompt", "--from", "v42", "--to", "v41", "--id", "prompt-41-again", "--rollback-of", CAUSE)
    await driftwire(*deployed, *index, *_at_minute(4), "--author", "nightly")
    await driftwire(*deployed, *prompt, *_at_minute(10), "--author", "mira")
    messages = _build_messages(seed)
    detected = next(number for number, message in enumerate(messages) if message.time_ms >= RESPONSE_BEGINS_MS)
    await _send(topology, messages[:detected])
    opened = (await Outcome.collect(cluster)).incidents
    if len(opened) != 1:
        raise DriftwireError(f"{len(opened)} incidents opened, expected exactly one: try another seed")
    console.print(render_card(opened[0]))
    incident_id = opened[0].incident_id

    async def incident(action: str, *arguments: str) -> None:
        await driftwire("incident", action, incident_id, *arguments)

    communications = ("amelie", "--role", "communications_lead")
    note = ("leadership was told on the phone", "--communicated", "internal")
    await incident("ack", *_at_minute(13), "--author", "jonas")
    await incident("assign", "jonas", *_at_minute(13.5), "--author", "jonas")
    await incident("assign", *communications, *_at_minute(14), "--author", "jonas")
    await incident("note", *note, *_at_minute(16), "--author", "amelie")
    await driftwire(*deployed, *rollback, *_at_minute(17), "--author", "mira")
    await _send(topology, messages[detected:])
    await incident("show")
    await incident("review", "--output", str(folder), "--force")
    draft, picture = await asyncio.to_thread(_rename_files, folder, incident_id)
    revisions = [
        revision
        async for revision in parse_incidents(read_topic(cluster, ALERTS))
        if revision.incident_id == incident_id
    ]
    return WalkthroughResult(revisions, draft, picture)


def _build_messages(seed: int) -> list[OutgoingMessage]:
    """Build the records, and set the versions that served them."""
    deployments = (
        Deployment(deployment_id="index-10", timestamp=INDEX_DEPLOYED_MS, kind="index", to_version="idx-10"),
        Deployment(deployment_id=CAUSE, timestamp=PROMPT_DEPLOYED_MS, kind="prompt", to_version="v42"),
        Deployment(deployment_id="prompt-41-again", timestamp=ROLLED_BACK_MS, kind="prompt", to_version="v41"),
    )
    failure = SimulatedFailure(FAILURE, PROMPT_DEPLOYED_MS, until_ms=ROLLED_BACK_MS)
    world = World(seed, START_MS, RECORDS_PER_SECOND, (failure,), deployments)
    return [
        OutgoingMessage(time_ms, SUBJECT.encode(), value)
        for columns in world.generate(until_ms=END_MS)
        for time_ms, value in zip(columns.times_ms.tolist(), json_lines(columns, seed=seed), strict=True)
    ]


def _rename_files(folder: Path, incident_id: str) -> tuple[Path, Path]:
    """Rename the draft and its chart, because their names depend on the id of the incident."""
    draft, picture = folder / f"{FILE_NAME}.md", folder / f"{FILE_NAME}.svg"
    written_draft, written_picture = folder / f"review-{incident_id}.md", folder / f"review-{incident_id}.svg"
    draft.write_text(written_draft.read_text("utf-8").replace(written_picture.name, picture.name), "utf-8")
    written_draft.unlink()
    written_picture.replace(picture)
    return draft, picture


async def _send(topology: Topology, messages: list[OutgoingMessage]) -> None:
    await produce(topology.cluster, messages)
    await wait_for_lag(topology.cluster, topology.configuration.kafka.app_id)


def _at_minute(minute: float) -> tuple[str, str]:
    return "--at", format_timestamp(START_MS + round(minute * MINUTE_MS))


def _run_command(cluster: Cluster, arguments: tuple[str, ...], console: Console) -> None:
    """Run a ``driftwire`` command, and print the command line and its output."""
    console.print(f"$ driftwire {' '.join(arguments)}", style="bold", markup=False, highlight=False, soft_wrap=True)
    command = [sys.executable, "-m", "topologies.cli", *arguments, "--bootstrap", cluster.bootstrap]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
    console.print(done.stdout.rstrip(), markup=False, highlight=False, soft_wrap=True)
    if done.returncode:
        raise DriftwireError(f"driftwire {arguments[0]} ended with status {done.returncode}: {done.stderr.strip()}")
