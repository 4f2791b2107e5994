"""The walk: one incident from the deployment that caused it to the draft of its review, on a real Kafka.

What people and pipelines say goes through the commands that they would type, dated to the minute of the story, so that
the same seed gives the same review.
"""

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from load.demo.story import MINUTE_MS, RECORDS_PER_SECOND, START_MS
from load.inputs import Line
from load.stage import collect, plainly, stage, unless_it_fails, wait_until_settled
from load.traffic import produce
from load.world import SUBJECT, Change, Plan, World, generate, healthy_baseline, json_lines
from schemas.deployment import Deployment
from schemas.incident import Incident
from schemas.timestamp import format_timestamp
from schemas.topics import ALERTS
from topologies.configuration import Configuration
from topologies.console import render_card
from topologies.errors import DriftwireError
from topologies.kafka import parse_incidents, read_topic
from topologies.processes import Topology

FAILURE = "pii_exposure"
BEGINS_MS = START_MS + 10 * MINUTE_MS
SEEN_MS = START_MS + 13 * MINUTE_MS
ROLLED_BACK_MS = START_MS + 17 * MINUTE_MS
ENDS_MS = START_MS + 26 * MINUTE_MS
LIFE = ("open", "acknowledged", "mitigated", "resolved")
"""The statuses that the incident goes through."""

NAME = "example"
"""Of the two files: the draft and its picture."""


@dataclass(frozen=True, slots=True)
class Walked:
    """The revisions of the incident, and what was written of it."""

    revisions: list[Incident]
    draft: Path
    picture: Path

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that it went through, in order."""
        return tuple(dict.fromkeys(each.status for each in self.revisions))

    @property
    def problems(self) -> list[str]:
        """What did not go as it should."""
        last, found = self.revisions[-1], []
        if self.statuses != LIFE:
            found.append(f"it was {', '.join(self.statuses)}, and should have been {', '.join(LIFE)}")
        if not last.suspects or last.suspects[0].deployment_id != "prompt-42":
            found.append("its first suspect is not the prompt that did it")
        if last.severity != "P1" or last.failure_mode != FAILURE:
            found.append(f"it is {last.severity} {last.failure_mode}, and should be P1 {FAILURE}")
        return found


async def walk(seed: int, folder: Path, console: Console) -> Walked:
    """Walk once, and leave the draft of the review with its picture in a folder.

    Raises
    ------
    DriftwireError
        In one line, if broker, workers or a command fail, or if no incident opens.
    """
    configuration = Configuration()
    correlate = configuration.correlate.model_copy(
        update={"regimes": ("au_privacy", "gdpr"), "kill_switches": {SUBJECT: "support_bot_enabled"}}
    )
    configuration = configuration.model_copy(update={"correlate": correlate})
    console.print(f"Learning what is normal for {SUBJECT} from a healthy day (seed {seed}), and starting Kafka ...")
    baseline = healthy_baseline(seed, START_MS, RECORDS_PER_SECOND, configuration.detect)
    async with stage(configuration, baselines=(baseline,), say=plainly(console)) as topology:
        return await unless_it_fails(topology, _walk(seed, folder, topology, console))


async def _walk(seed: int, folder: Path, topology: Topology, console: Console) -> Walked:
    bootstrap = topology.bootstrap

    async def driftwire(*arguments: str) -> None:
        await asyncio.to_thread(_driftwire, bootstrap, arguments, console)

    deployed = ("deployed", "--subject", SUBJECT, "--kind")
    await driftwire(
        *deployed, "index", "--from", "idx-9", "--to", "idx-10", "--id", "index-10", *_at(4), "--author", "nightly"
    )
    await driftwire(
        *deployed, "prompt", "--from", "v41", "--to", "v42", "--id", "prompt-42", *_at(10), "--author", "mira"
    )
    lines = _lines(seed)
    seen = next(place for place, line in enumerate(lines) if line.time_ms >= SEEN_MS)
    await _play(topology, lines[:seen])
    opened = (await collect(bootstrap)).incidents
    if len(opened) != 1:
        raise DriftwireError(f"{len(opened)} incidents opened where one should: try another seed")
    console.print(render_card(opened[0]))
    named = opened[0].incident_id
    await driftwire("incident", "ack", named, *_at(13), "--author", "jonas")
    await driftwire("incident", "assign", named, "jonas", *_at(13.5), "--author", "jonas")
    await driftwire(
        "incident", "assign", named, "amelie", "--role", "communications_lead", *_at(14), "--author", "jonas"
    )
    await driftwire(
        "incident", "note", named, "leadership was told on the phone", "--communicated", "internal", *_at(16),
        "--author", "amelie",
    )  # fmt: skip
    await driftwire(
        *deployed, "prompt", "--from", "v42", "--to", "v41", "--id", "prompt-41-again", "--rollback-of", "prompt-42",
        *_at(17), "--author", "mira",
    )  # fmt: skip
    await _play(topology, lines[seen:])
    await driftwire("incident", "show", named)
    await driftwire("incident", "review", named, "--output", str(folder), "--force")
    draft, picture = await asyncio.to_thread(_renamed, folder, named)
    revisions = [each async for each in parse_incidents(read_topic(bootstrap, ALERTS)) if each.incident_id == named]
    return Walked(revisions, draft, picture)


def _lines(seed: int) -> list[Line]:
    """The records, with the versions that served them."""
    deployments = (
        Deployment(deployment_id="index-10", timestamp=START_MS + 4 * MINUTE_MS, kind="index", to_version="idx-10"),
        Deployment(deployment_id="prompt-42", timestamp=BEGINS_MS, kind="prompt", to_version="v42"),
        Deployment(deployment_id="prompt-41-again", timestamp=ROLLED_BACK_MS, kind="prompt", to_version="v41"),
    )
    plan = Plan(changes=(Change(FAILURE, BEGINS_MS, until_ms=ROLLED_BACK_MS),), deployments=deployments)
    world = World(seed, START_MS, RECORDS_PER_SECOND, plan)
    return [
        Line(time_ms, SUBJECT.encode(), value)
        for columns in generate(world, until_ms=ENDS_MS)
        for time_ms, value in zip(columns.times_ms.tolist(), json_lines(columns, seed=seed), strict=True)
    ]


def _renamed(folder: Path, incident_id: str) -> tuple[Path, Path]:
    """Give the two files names that do not change with the incident's id."""
    draft, picture = folder / f"{NAME}.md", folder / f"{NAME}.svg"
    written, drawn = folder / f"review-{incident_id}.md", folder / f"review-{incident_id}.svg"
    draft.write_text(written.read_text("utf-8").replace(drawn.name, picture.name), "utf-8")
    written.unlink()
    drawn.replace(picture)
    return draft, picture


async def _play(topology: Topology, lines: list[Line]) -> None:
    await produce(topology.bootstrap, lines)
    await wait_until_settled(topology.bootstrap, topology.configuration.kafka.app_id)


def _at(minute: float) -> tuple[str, str]:
    return "--at", format_timestamp(START_MS + round(minute * MINUTE_MS))


def _driftwire(bootstrap: str, arguments: tuple[str, ...], console: Console) -> None:
    """Run a command as somebody would type it, and show what it says."""
    console.print(f"$ driftwire {' '.join(arguments)}", style="bold", markup=False, highlight=False, soft_wrap=True)
    command = [sys.executable, "-m", "topologies.cli", *arguments, "--bootstrap", bootstrap]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    console.print(done.stdout.rstrip(), markup=False, highlight=False, soft_wrap=True)
    if done.returncode:
        raise DriftwireError(f"driftwire {arguments[0]} ended with status {done.returncode}: {done.stderr.strip()}")
