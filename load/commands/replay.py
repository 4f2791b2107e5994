"""``driftwire-load replay``: files of records through the real pipeline, by their own time."""

import asyncio
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from load.commands.options import Speed, json_option, write_json
from load.errors import LoadError
from load.inputs import START_MS, CsvMapping, parse_mapping
from topologies.commands.values import Duration, PointInTime

EXISTING = click.Path(path_type=Path)


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option("--deployments", multiple=True, type=EXISTING, help="NDJSON of deployments, sent first; repeatable.")
@click.option("--baseline", "baselines", multiple=True, type=EXISTING, help="A baseline to judge by; repeatable.")
@click.option("--speed", type=Speed(), default="max", show_default=True, help="Event time over real time, or max.")
@click.option("--ready-after", type=Duration(), help="Event time a baseline is learned over: 30m, 24h.")
@click.option("--ready-records", type=click.IntRange(100), help="Records a baseline is learned from.")
@click.option("--bootstrap", help="HOST:PORT of a topology started with --replay; by default one is started here.")
@click.option("--config", type=EXISTING, help="The configuration; by default all defaults.")
@click.option("--map", "mappings", multiple=True, metavar="COLUMN=FIELD", help="For CSV: t_s=timestamp; repeatable.")
@click.option("--subject", help="For CSV without a subject's column.")
@click.option(
    "--csv-start", type=PointInTime(), default=START_MS, help="For CSV whose times are seconds since a start."
)
@click.option("--now", is_flag=True, help="Shift all times so that the last record is now: for a live topology.")
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
    mappings: tuple[str, ...],
    subject: str | None,
    csv_start: int,
    now: bool,
    json_file: Path | None,
) -> None:
    """Send files of records through the pipeline and show what it finds.

    FILES are NDJSON, gzipped NDJSON (.gz) or CSV (.csv). Ends with status 1 if some subject was never judged, because
    no baseline was ready: such a silence proves nothing.
    """
    from load.traffic import Replay, run, show  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.configuration import load  # noqa: PLC0415

    if bootstrap is not None and (ready_after is not None or ready_records is not None):
        raise click.UsageError("--ready-after and --ready-records are settings of the topology that --bootstrap names")
    mapping = CsvMapping(subject, parse_mapping(mappings), csv_start) if mappings or subject else None
    if mapping is not None and not any(".csv" in path.suffixes for path in files):
        raise LoadError("--map and --subject are for CSV, and no file is one")
    wall_ms = time.time_ns() // 1_000_000
    replay = Replay(
        files, deployments, baselines, mapping, speed, ready_after, ready_records, bootstrap,
        now_ms=wall_ms if now else None, wall_ms=wall_ms,
    )  # fmt: skip
    console = Console()
    report = asyncio.run(run(replay, load(config), console))
    show(report, console)
    write_json(json_file, report.to_json())
    if report.span.subjects - set(report.judged_subjects):
        sys.exit(1)
