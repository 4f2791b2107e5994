"""``driftwire baseline``: learn, publish and show baselines, and accept a new normal."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from pipeline.wording import duration
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.timestamp import format_timestamp
from topologies.commands.options import author_option, now_ms
from topologies.commands.parameter_types import Duration, PastTime, PointInTime
from topologies.commands.record_file_options import (
    describe_unusable,
    open_files,
    read_messages,
    record_file_options,
    selected_subject,
)
from topologies.commands.running_options import bootstrap_option, config_option
from topologies.terminal import echo

if TYPE_CHECKING:
    from pipeline.intake import MappingSettings
    from topologies.record_files import ReadOptions


@click.group("baseline", short_help="Learn, publish, show and accept baselines.")
def command() -> None:
    """Learn, publish, show and accept baselines."""


@command.command("learn")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="JSON file to write."
)
@click.option(
    "--ready-after",
    type=Duration(),
    help="Event time that the records must span, such as 30m or 24h.  [default: detect.ready_after_s]",
)
@click.option(
    "--ready-records",
    type=click.IntRange(100),
    help="Records required per signal.  [default: detect.ready_records]",
)
@click.option(
    "--from", "from_ms", type=PointInTime(), help="Use only records at or after this time: RFC 3339 or Unix ms."
)
@click.option("--to", "to_ms", type=PointInTime(), help="Use only records before this time.")
@record_file_options
@config_option
def learn_command(
    *,
    files: tuple[Path, ...],
    output: Path,
    mapping: "MappingSettings",
    reading: "ReadOptions",
    from_ms: int | None,
    to_ms: int | None,
    ready_after: float | None,
    ready_records: int | None,
    config: Path | None,
) -> None:
    """Learn a baseline from FILES of records.

    The files are NDJSON, JSON, CSV or Parquet, optionally gzipped (.gz). They are merged by time, and each must be in
    time order. If they name several subjects, select one with --subject. What was found in the files is shown first.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import and not needed for --help

    from pipeline.detect.offline import learn_history  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.configuration import load_configuration  # noqa: PLC0415
    from topologies.errors import DriftwireError  # noqa: PLC0415

    settings = load_configuration(config).detect
    settings = settings.model_copy(update=settings.readiness(ready_after, ready_records))
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise click.UsageError("--to must be later than --from")
    record_files = open_files(files, mapping, reading, time_zone=settings.time_zone, console=Console())
    subject = selected_subject(mapping)
    history = learn_history(read_messages(record_files), settings, subject=subject, from_ms=from_ms, to_ms=to_ms)
    for line in describe_unusable(record_files):
        echo(line)
    refused = ", ".join(f"{reason} {count}" for reason, count in history.unusable.most_common()) or "none"
    if len(history.baselines) != 1:
        raise DriftwireError(f"{_describe_subjects(list(history.baselines), subject)}; unusable records: {refused}")
    (baseline,) = history.baselines.values()
    span_s = (baseline.learned_to - baseline.learned_from) / 1000
    if span_s < settings.ready_after_s:
        raise DriftwireError(
            f"the records of {baseline.subject} span {duration(span_s)}, but a baseline needs "
            f"{duration(settings.ready_after_s)}: give more records or lower --ready-after"
        )
    if not baseline.signals:
        raise DriftwireError(
            f"no signal of {baseline.subject} has {settings.ready_records} records: "
            "give more records or lower --ready-records"
        )
    try:
        output.write_bytes(baseline.to_json() + b"\n")
    except OSError as error:
        raise DriftwireError(f"{output} cannot be written: {error.strerror}") from error
    echo(
        f"{output}: baseline {baseline.baseline_version} of {baseline.subject}, {len(baseline.signals)} signals, "
        f"{baseline.records} records over {duration(span_s)}; unusable records: {refused}"
    )
    _print_field_problems(history.bad_fields[baseline.subject], history.look_alikes[baseline.subject])
    _print_unmonitored(baseline)


def _print_unmonitored(baseline: Baseline) -> None:
    """Print which signals of a baseline are not monitored, and why."""
    from pipeline.detect.baselines import nonstationary_signals  # noqa: PLC0415  slow to import

    if baseline.sampled:
        echo(
            "records are sampled by outcome, so signals that depend on the outcome are not monitored: "
            "show the baseline for a list, or learn from records that are not sampled"
        )
    moving = nonstationary_signals(baseline)
    if moving:
        echo(
            f"not monitored, because the second half of the records differs from the first: {', '.join(moving)}; "
            "choose a steadier period with --from and --to, or learn from more days"
        )


def _print_field_problems(bad_fields: Counter[tuple[str, str]], look_alikes: set[str]) -> None:
    """Print the fields that could not be used, and unknown fields that look like a known one."""
    from pipeline.detect.record_check import describe_bad_fields, describe_look_alikes  # noqa: PLC0415  slow to import

    for line in describe_bad_fields(bad_fields) + describe_look_alikes(look_alikes):
        echo(line)


def _describe_subjects(names: list[str], subject: str | None) -> str:
    """Describe why the files do not contain exactly one subject to learn."""
    if subject is not None:
        return f"the files contain no records of {subject}: check the name"
    if names:
        return f"the files contain {len(names)} subjects ({', '.join(names)}): select one with --subject"
    return "the files contain no usable records"


@command.command("publish")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@bootstrap_option
@config_option
def publish_command(file: Path, bootstrap: str | None, config: Path | None) -> None:
    """Publish the baseline in FILE to Kafka. Detect then monitors the subject against this baseline."""
    from topologies.baselines import publish_baseline, read_baseline_file  # noqa: PLC0415  slow to import, as above
    from topologies.configuration import load_configuration  # noqa: PLC0415

    cluster = load_configuration(config).with_bootstrap(bootstrap).kafka.cluster
    baseline = read_baseline_file(file)
    asyncio.run(publish_baseline(cluster, baseline))
    echo(f"published baseline {baseline.baseline_version} of {baseline.subject} at {cluster}")


@command.command("show")
@click.argument("source", metavar="FILE|SUBJECT")
@bootstrap_option
@config_option
def show_command(source: str, bootstrap: str | None, config: Path | None) -> None:
    """Show the baseline in FILE, or the newest baseline of SUBJECT.

    The baseline of SUBJECT is read from Kafka. The command also lists the signals being relearned and the channels
    frozen by an open drift. "pages from" and "tickets from" show the smallest lasting change that is detected. For a
    rate, this change is given as the new mean; for a value, as the shift of all values.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, as above

    from topologies.baselines import (  # noqa: PLC0415
        read_baseline_file,
        read_baseline_status,
        read_frozen_drifts,
        render_baseline,
    )
    from topologies.configuration import load_configuration  # noqa: PLC0415

    configuration = load_configuration(config)
    lines: list[str] = []
    if Path(source).is_file():
        baseline = read_baseline_file(Path(source))
    else:
        cluster = configuration.with_bootstrap(bootstrap).kafka.cluster
        baseline, relearns = asyncio.run(read_baseline_status(cluster, source))
        frozen = asyncio.run(read_frozen_drifts(cluster, source))
        lines = [*map(_relearning_line, relearns), *map(_frozen_line, frozen)]
    console = Console()
    console.print(render_baseline(baseline, configuration.detect, console.width))
    for line in lines:
        echo(line)


def _relearning_line(relearn: Relearn) -> str:
    signals = ", ".join(relearn.signals) or "every signal"
    return (
        f"relearning from {format_timestamp(relearn.at)}, not monitored until done: {signals} "
        f"({relearn.reason}, {relearn.requested_by or 'no author'})"
    )


def _frozen_line(drift: Drift) -> str:
    segment = f" in {drift.segment}" if drift.segment else ""
    return (
        f"frozen until it recovers or the new normal is accepted: {drift.signal} {drift.channel} {drift.side}{segment}, "
        f"a {drift.tier} since {format_timestamp(drift.started_at)}"
    )


@command.command("accept")
@click.argument("subject", metavar="SUBJECT")
@click.option(
    "--signal", "signals", multiple=True, metavar="NAME", help="Signal to relearn. Repeatable.  [default: all]"
)
@click.option("--from", "from_ms", type=PastTime(), help="Time at which the new normal began.  [default: now]")
@author_option
@bootstrap_option
@config_option
def accept_command(
    *,
    subject: str,
    signals: tuple[str, ...],
    from_ms: int | None,
    author: str,
    bootstrap: str | None,
    config: Path | None,
) -> None:
    """Accept the current behaviour of SUBJECT as normal, and relearn its baseline.

    Relearning takes detect.relearn_after_s of event time. During this time, the relearned signals are not monitored.
    Other signals are monitored as before.
    """
    from topologies.baselines import request_relearn  # noqa: PLC0415  slow to import, as above
    from topologies.configuration import load_configuration  # noqa: PLC0415

    configuration = load_configuration(config)
    relearn = Relearn(
        relearn_id=f"accept-{uuid4().hex[:16]}",
        subject=subject,
        at=now_ms() if from_ms is None else from_ms,
        signals=sorted(set(signals)),
        reason="accepted",
        requested_by=author,
    )
    cluster = configuration.with_bootstrap(bootstrap).kafka.cluster
    asyncio.run(request_relearn(cluster, relearn))
    names = ", ".join(relearn.signals) or "every signal"
    echo(
        f"accepted: detect relearns {names} of {subject} over {duration(configuration.detect.relearn_after_s)} "
        "of records and does not monitor them during that time"
    )
