"""``driftwire backtest``: show what driftwire would have found in past records."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from schemas.incident import Severity
from schemas.timestamp import date_time
from topologies.command_line import EXIT_FOUND
from topologies.commands.options import READY_RECORDS_MIN, ready_records_option
from topologies.commands.parameter_types import Duration, PointInTime
from topologies.commands.record_file_options import open_files, record_file_options
from topologies.commands.running_options import config_option
from topologies.errors import DriftwireError
from topologies.terminal import echo

if TYPE_CHECKING:
    from pipeline.backtest import BacktestResult, LearningPeriod
    from pipeline.intake import MappingSettings
    from pipeline.route import RouteSettings
    from topologies.configuration import Configuration
    from topologies.record_files import ReadOptions, RecordLine

PROBLEMS_MAX = 50
"""Maximum number of different problems of rows. Rarer ones are counted together."""

_EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("backtest", short_help="Show what driftwire would have found in past records.")
@click.argument("files", nargs=-1, required=True, type=_EXISTING_FILE)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="HTML page to write. It is one file without scripts.",
)
@click.option(
    "--deployments", "deployments_file", metavar="FILE", type=_EXISTING_FILE, help="NDJSON file of deployments."
)
@click.option(
    "--baseline",
    "baseline_files",
    metavar="FILE",
    multiple=True,
    type=_EXISTING_FILE,
    help="Baseline to compare all records with, instead of learning one. Repeatable, once per subject.",
)
@click.option(
    "--baseline-until",
    "until_ms",
    type=PointInTime(),
    help="Time until which baselines are learned: RFC 3339 or Unix ms. The records after it are judged.",
)
@click.option(
    "--ready-after",
    type=Duration(),
    help="Length of the learning period from the first record, such as 30m or 24h.  "
    "[default: detect.ready_after_s, at most the first half]",
)
@ready_records_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the incidents and the counts to this file as JSON.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["P1", "P2", "P3", "P4"]),
    help="Exit with status 3 if there was an incident of this severity or a worse one.",
)
@record_file_options
@config_option
def command(
    *,
    files: tuple[Path, ...],
    mapping: "MappingSettings",
    reading: "ReadOptions",
    report: Path | None,
    deployments_file: Path | None,
    baseline_files: tuple[Path, ...],
    until_ms: int | None,
    ready_after: float | None,
    ready_records: int | None,
    json_file: Path | None,
    fail_on: str | None,
    config: Path | None,
) -> None:
    """Show what driftwire would have paged and ticketed, and why, from FILES of past records.

    Needs no Kafka and sends nothing. Baselines are learned from the first part of the records, and the rest runs through
    the same steps as in the workers, at full speed. All subjects in the files are included.

    The files are NDJSON, JSON, CSV or Parquet, optionally gzipped (.gz), and are merged by event time. Exports of
    Langfuse, Phoenix, LiteLLM and OpenAI batches are recognised. Rows of other files are mapped to records with --map.
    With routes in the configuration, the report also shows which receivers would have been notified.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import and not needed for --help

    from pipeline.backtest import BacktestSettings, Playback  # noqa: PLC0415
    from topologies.backtest_page import incidents_json, render_summary, write_page  # noqa: PLC0415
    from topologies.baselines import read_baseline_file  # noqa: PLC0415
    from topologies.configuration import load_configuration  # noqa: PLC0415
    from topologies.record_files import merge_by_event_time, read_deployments  # noqa: PLC0415

    if sum((bool(baseline_files), until_ms is not None, ready_after is not None)) > 1:
        raise click.UsageError("give only one of --baseline, --baseline-until and --ready-after")
    configuration = load_configuration(config)
    detect = configuration.detect.model_copy(update=configuration.detect.readiness(None, ready_records))
    baselines = [read_baseline_file(path) for path in baseline_files]
    deployments = [] if deployments_file is None else read_deployments(deployments_file)
    records = open_files(files, mapping, reading, time_zone=detect.time_zone, console=Console())
    learning, rows = _choose_learning(
        merge_by_event_time(records), detect.ready_after_s, bool(baselines), ready_after, until_ms
    )
    settings = BacktestSettings(detect, configuration.correlate, _find_routes(configuration))
    playback = Playback(settings, learning, baselines=baselines, deployments=deployments)
    unread: Counter[str] = Counter()
    result = playback.play(_read_values(_show_progress(merge_by_event_time(records), "playing", rows), unread))
    dropped = sum((file.dropped for file in records), Counter[tuple[str, str]]())
    result = result.add_unusable_rows(unread, dropped)
    if not result.records_used:
        reasons = ", ".join(
            f"{one.reason} {one.count:,}{f' ({one.detail})' if one.detail else ''}" for one in result.unusable
        )
        reasons = reasons or "the files are empty"
        raise DriftwireError(f"the files contain no usable records: {reasons}")
    advice = "" if result.is_judged else _advise(result, detect.ready_records)
    for line in render_summary(result):
        echo(line)
    if advice:
        echo(f"WARNING: {advice}", err=True)
    if report is not None:
        _write(report, write_page(result, [path.name for path in files], advice))
        echo(f"{report}: the report")
    if json_file is not None:
        _write(json_file, json.dumps(incidents_json(result), indent=2, ensure_ascii=False) + "\n")
    if fail_on is not None:
        _check_severity(result, cast("Severity", fail_on))


def _choose_learning(
    lines: "Iterable[RecordLine]",
    ready_after_s: float,
    is_given: bool,
    given_after_s: float | None,
    until_ms: int | None,
) -> "tuple[LearningPeriod, int]":
    """Read the times of the records, and return the period to learn from and the number of rows."""
    from pipeline.backtest import LearningPeriod, RecordTimes  # noqa: PLC0415  slow to import, as above

    times = RecordTimes()
    for line in _show_progress(lines, "reading the times", None):
        times.add(line.time_ms)
    span = times.span()
    if times.is_unordered():
        raise DriftwireError(
            "the records are not in order of time, so they cannot be judged: sort each file by time, oldest first"
        )
    if is_given or span is None:
        return LearningPeriod(None, "no record has a time" if span is None else "as given"), times.records
    period = LearningPeriod.choose(span, ready_after_s, given_after_s=given_after_s, until_ms=until_ms)
    is_chosen = given_after_s is not None or until_ms is not None
    if is_chosen and period.until_ms is not None and not span[0] < period.until_ms < span[1]:
        raise DriftwireError(
            f"the learning period would end at {date_time(period.until_ms)}, but the records are from "
            f"{date_time(span[0])} to {date_time(span[1])}: choose an end between these times"
        )
    return period, times.records


def _read_values(lines: "Iterable[RecordLine]", unread: Counter[str]) -> Iterator[bytes]:
    """Yield the messages, and count the rows that give none by their problem."""
    for line in lines:
        if line.value is not None:
            yield line.value
        else:
            is_counted = line.problem in unread or len(unread) < PROBLEMS_MAX
            unread[line.problem if is_counted else "other problems"] += 1


def _find_routes(configuration: "Configuration") -> "RouteSettings | None":
    """Return the routes, or None if the configuration has only the console."""
    from pipeline.route import RouteSettings  # noqa: PLC0415  slow to import, as above

    default = RouteSettings()
    is_default = (configuration.route.receivers, configuration.route.routes) == (default.receivers, default.routes)
    return None if is_default else configuration.route


def _show_progress(lines: "Iterable[RecordLine]", task: str, total: int | None) -> "Iterator[RecordLine]":
    """Yield the rows, and show how many have been read if standard error is a terminal."""
    from rich.console import Console  # noqa: PLC0415  slow to import, as above
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(lines, total=total, description=task)


def _advise(result: "BacktestResult", ready_records: int) -> str:
    """Return what to change if nothing was judged."""
    reasons = sorted({subject.problem for subject in result.subjects if subject.problem})
    problem = "; ".join(reasons) or "the records contain no testable signal"
    most = max((subject.learned_records for subject in result.subjects), default=0)
    if not any(row.records for subject in result.subjects for row in subject.signals):
        remedy = "name the sources of signals with --map, and see in the report which values could not be used"
    elif READY_RECORDS_MIN <= most < ready_records:
        remedy = f"repeat the command with --ready-records {most // READY_RECORDS_MIN * READY_RECORDS_MIN}"
    elif most < READY_RECORDS_MIN:
        remedy = "add more records, or choose the end of the learning period with --baseline-until"
    else:
        remedy = "use --baseline-until to choose a longer or steadier learning period"
    return f"nothing was judged, so this result says nothing about your service: {problem}. To get a result, {remedy}."


def _check_severity(result: "BacktestResult", severity: Severity) -> None:
    count = len(result.at_least(severity))
    if count:
        echo(f"{count} of the incidents are {severity} or worse", err=True)
        click.get_current_context().exit(EXIT_FOUND)
    if not result.is_judged:
        raise DriftwireError(f"nothing was judged, so --fail-on {severity} cannot pass")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise DriftwireError(f"{path} cannot be written: {error.strerror}") from error
