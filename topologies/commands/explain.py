"""``driftwire explain``: show why records caused a page, a ticket, or neither."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from topologies.commands.options import ready_records_option
from topologies.commands.parameter_types import Duration
from topologies.commands.record_file_options import (
    describe_unusable,
    open_files,
    read_messages,
    record_file_options,
    selected_subject,
)
from topologies.commands.running_options import config_option
from topologies.terminal import echo

if TYPE_CHECKING:
    from pipeline.intake import MappingSettings
    from topologies.record_files import ReadOptions


@click.command("explain", short_help="Show the evidence of every channel over files of records.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--baseline",
    "baseline_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Baseline to use. Without it, a baseline is learned from the first records.",
)
@click.option(
    "--signal",
    "signals",
    multiple=True,
    metavar="NAME",
    help="Signal to show. Repeatable.  [default: channels that came close to firing]",
)
@click.option(
    "--ready-after",
    type=Duration(),
    help="Event time over which a baseline is learned, such as 30m or 24h.  [default: detect.ready_after_s]",
)
@ready_records_option
@click.option(
    "--json",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the evidence of every channel to this file as JSON.",
)
@record_file_options
@config_option
def command(
    *,
    files: tuple[Path, ...],
    baseline_file: Path | None,
    mapping: "MappingSettings",
    reading: "ReadOptions",
    signals: tuple[str, ...],
    ready_after: float | None,
    ready_records: int | None,
    report: Path | None,
    config: Path | None,
) -> None:
    """Show how the evidence of every channel develops over FILES of records.

    The files are NDJSON, JSON, CSV or Parquet, optionally gzipped (.gz). They are merged by time, and each must be in
    time order. If they name several subjects, --subject selects one; otherwise, the first is explained. The records run
    through the same detect step as in a worker. Nothing is written to Kafka. A full block character marks a channel
    that has fired.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import and not needed for --help

    from pipeline.detect.offline import explain  # noqa: PLC0415
    from topologies.baselines import explanation_json, read_baseline_file, render_explanation  # noqa: PLC0415
    from topologies.configuration import load_configuration  # noqa: PLC0415
    from topologies.errors import DriftwireError  # noqa: PLC0415

    settings = load_configuration(config).detect
    settings = settings.model_copy(update=settings.readiness(ready_after, ready_records))
    baseline = None if baseline_file is None else read_baseline_file(baseline_file)
    console = Console()
    record_files = open_files(files, mapping, reading, time_zone=settings.time_zone, console=console)
    subject = selected_subject(mapping)
    explained = explain(read_messages(record_files), settings, baseline=baseline, subject=subject)
    for line in describe_unusable(record_files):
        echo(line)
    if explained is None:
        raise DriftwireError(f"the files contain no usable records of {subject or 'any subject'}")
    if report is not None:
        report.write_text(json.dumps(explanation_json(explained)) + "\n")
    console.print(render_explanation(explained, signals))
