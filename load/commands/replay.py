"""``driftwire-load replay``: replay files of records through the real pipeline, with event time as the clock."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from load.commands.options import Speed, json_option, write_json
from topologies.commands.options import ready_records_option
from topologies.commands.parameter_types import Duration
from topologies.commands.record_file_options import record_file_options

if TYPE_CHECKING:
    from pipeline.intake import MappingSettings
    from topologies.record_files import ReadOptions

EXISTING = click.Path(path_type=Path)


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option(
    "--deployments",
    multiple=True,
    type=EXISTING,
    help="NDJSON file of deployments, sent before the records. Repeatable.",
)
@click.option("--baseline", "baselines", multiple=True, type=EXISTING, help="Baseline to use. Repeatable.")
@click.option(
    "--speed",
    type=Speed(),
    default="max",
    show_default=True,
    help="Seconds of event time per second of real time, or max.",
)
@click.option(
    "--ready-after",
    type=Duration(),
    help="Event time over which a baseline is learned, such as 30m or 24h.  [default: detect.ready_after_s]",
)
@ready_records_option
@click.option("--bootstrap", help="HOST:PORT of a running topology.  [default: start one for this replay]")
@click.option("--config", type=EXISTING, help="Configuration file. Without it, all settings have their defaults.")
@click.option(
    "--now",
    is_flag=True,
    help="Shift all times so that the last record is now. Needed to send old files to a live topology.",
)
@record_file_options
@json_option
def command(
    *,
    files: tuple[Path, ...],
    deployments: tuple[Path, ...],
    baselines: tuple[Path, ...],
    speed: float,
    ready_after: float | None,
    ready_records: int | None,
    bootstrap: str | None,
    config: Path | None,
    mapping: "MappingSettings",
    reading: "ReadOptions",
    now: bool,
    json_file: Path | None,
) -> None:
    """Replay FILES of records through the pipeline and show what it finds.

    The files are NDJSON, JSON, CSV or Parquet, optionally gzipped (.gz). The command shows what it found in the files
    before it sends anything. Exits with status 1 if no baseline became ready for a subject: that subject was never
    monitored, so an empty result proves nothing.
    """
    from load.traffic import Replay  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.configuration import load_configuration  # noqa: PLC0415

    if bootstrap is not None and (ready_after is not None or ready_records is not None):
        raise click.UsageError(
            "--ready-after and --ready-records are settings of the topology and cannot be combined with --bootstrap"
        )
    wall_ms = time.time_ns() // 1_000_000
    configuration = load_configuration(config)
    replay = Replay(
        files=files,
        deployments=deployments,
        baselines=baselines,
        mapping=mapping,
        reading=reading,
        speed=speed,
        ready_after_s=ready_after,
        ready_records=ready_records,
        cluster=None if bootstrap is None else configuration.with_bootstrap(bootstrap).kafka.cluster,
        now_ms=wall_ms if now else None,
        wall_ms=wall_ms,
        time_zone=configuration.detect.time_zone or None,
    )
    console = Console()
    report = asyncio.run(replay.run(configuration, console))
    report.show(console)
    write_json(json_file, report.to_json())
    if report.unmonitored_subjects:
        sys.exit(1)
