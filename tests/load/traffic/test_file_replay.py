"""Replays: refusals before anything is sent, and a replay through the real pipeline."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from load.errors import LoadError
from load.traffic.file_replay import Replay
from load.world.failure_table import SimulatedFailure
from load.world.json_writer import json_lines
from load.world.world import World
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.tick import Tick
from schemas.timestamp import parse_timestamp
from schemas.topics import DRIFTS
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.configuration.configuration import Configuration
from topologies.kafka.client import write_message

START = parse_timestamp("2024-05-01T12:00:00Z")
MINUTE_MS = 60_000


def write_records(
    path: Path,
    *,
    subject: str,
    minutes: int,
    failures: Sequence[SimulatedFailure] = (),
    deployments: Sequence[Deployment] = (),
    more: bytes = b"",
) -> Path:
    world = World(3, START, 25.0, failures, deployments)
    lines = [
        line
        for columns in world.generate(until_ms=START + minutes * MINUTE_MS)
        for line in json_lines(columns, subject=subject, seed=3)
    ]
    path.write_bytes(b"\n".join([*lines, more]) + b"\n")
    return path


def create_console() -> Console:
    return Console(file=io.StringIO(), width=100)


def test_measuring_counts_messages_and_subjects_of_the_files(tmp_path: Path) -> None:
    replay = Replay((write_records(tmp_path / "a.ndjson", subject="bot", minutes=1, more=b"{"),))
    span = replay.measure(replay.open())
    assert span.subjects == {"bot"}
    assert span.unreadable == 1
    assert START <= span.first_ms < span.last_ms < START + MINUTE_MS
    assert span.messages > 1000


def test_a_file_without_a_single_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    with pytest.raises(LoadError, match=r"notes.txt: no line contains a record"):
        Replay((path,)).measure(Replay((path,)).open())


async def test_a_readiness_out_of_bounds_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.ndjson", subject="bot", minutes=1)
    with pytest.raises(LoadError, match="ready_after_s"):
        await Replay((path,), ready_after_s=1.0).run(Configuration(), create_console())


@pytest.mark.kafka
async def test_a_live_topology_refuses_old_records(tmp_path: Path, empty_broker: EmbeddedBroker) -> None:
    path = write_records(tmp_path / "a.ndjson", subject="bot", minutes=1)
    wall_ms = START + 30 * 86_400_000
    await write_message(
        empty_broker.cluster, DRIFTS, None, Tick(partition=0, watermark=wall_ms, wall=wall_ms).to_json()
    )
    with pytest.raises(LoadError, match=r"older than 7 days: .*driftwire up --replay"):
        await Replay((path,), cluster=empty_broker.cluster, wall_ms=wall_ms).run(Configuration(), create_console())


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_replay_finds_the_failure_and_reports_subjects_that_were_not_monitored(tmp_path: Path) -> None:
    deployed = Deployment(
        deployment_id="p-2",
        timestamp=START + 6 * MINUTE_MS,
        kind="prompt",
        subject="long",
        from_version="v41",
        to_version="v42",
    )
    long = write_records(
        tmp_path / "long.ndjson",
        subject="long",
        minutes=8,
        failures=(SimulatedFailure("empty_output", START + 6 * MINUTE_MS),),
        deployments=(deployed,),
        more=b'{"subject": 7}',
    )
    short = write_records(tmp_path / "short.ndjson", subject="short", minutes=1)
    deployments = tmp_path / "deployments.ndjson"
    deployments.write_bytes(deployed.to_json())
    replay = Replay((long, short), deployments=(deployments,), ready_after_s=240, ready_records=2000)
    report = await replay.run(Configuration(), create_console())
    (incident,) = [incident for incident in report.outcome.incidents if incident.failure_mode == "empty_output"]
    assert (incident.severity, incident.subject, incident.suspects[0].deployment_id) == ("P2", "long", "p-2")
    assert abs(incident.started_at - deployed.timestamp) < 30_000
    assert dict(report.outcome.dead_letters) == {("detect", "subject_invalid"): 1}
    assert report.monitored_subjects == ["long"]
    assert report.unmonitored_subjects == ["short"]
    assert [baseline.subject for baseline in report.outcome.baselines] == ["long"]
    assert isinstance(report.outcome.baselines[0], Baseline)
    console = create_console()
    report.show(console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "NOTHING WAS MONITORED for 1 of 2 subjects (short)" in output
    assert report.to_json()["lines_that_are_no_record"] == 1
