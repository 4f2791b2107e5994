"""``driftwire explain``: why a stream of records paged, made a ticket, or did neither."""

import json
from pathlib import Path

import click

from topologies.commands.running_options import config_option
from topologies.commands.values import Duration


@click.command("explain", short_help="Show the evidence of every channel over a stream.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--baseline", "baseline_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="What is normal; without one it is learned from the first of the records.",
)  # fmt: skip
@click.option("--subject", metavar="NAME", help="Which, where the files have several.  [default: the first]")
@click.option("--signal", "signals", multiple=True, metavar="NAME", help="Show this signal; repeatable.")
@click.option("--ready-after", type=Duration(), help="Event time a baseline is learned over: 30m, 24h.")
@click.option("--ready-records", type=click.IntRange(100), help="Records a baseline is learned from.")
@click.option(
    "--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write the evidence there, as JSON."
)
@config_option
def command(
    *,
    files: tuple[Path, ...],
    baseline_file: Path | None,
    subject: str | None,
    signals: tuple[str, ...],
    ready_after: float | None,
    ready_records: int | None,
    report: Path | None,
    config: Path | None,
) -> None:
    """Show what FILES of records did to the evidence of every channel: NDJSON, .gz too, in the order of their times.

    A full block is a channel that has fired. Nothing is written to Kafka: the records go through the same step that a
    worker runs.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from pipeline.detect.offline import explain  # noqa: PLC0415
    from topologies.baselines import explanation, read_baseline, read_lines, to_json  # noqa: PLC0415  # noqa: PLC0415
    from topologies.configuration import load  # noqa: PLC0415
    from topologies.errors import Failure  # noqa: PLC0415

    settings = load(config).detect
    settings = settings.model_copy(update=settings.readiness(ready_after, ready_records))
    baseline = None if baseline_file is None else read_baseline(baseline_file)
    explained = explain(read_lines(files), settings, baseline=baseline, subject=subject)
    if explained is None:
        raise Failure(f"the files hold no record that could be used of {subject or 'any subject'}")
    if report is not None:
        report.write_text(json.dumps(to_json(explained)) + "\n")
    Console().print(explanation(explained, signals))
