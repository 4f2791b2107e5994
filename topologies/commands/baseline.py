"""``driftwire baseline``: learn, publish and show baselines, and accept a new normal."""

import asyncio
from collections import Counter
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from pipeline.wording import NAMES_MAX, duration, record_count
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.timestamp import format_timestamp
from topologies.commands.options import READY_RECORDS_MIN, author_option, now_ms, ready_records_option
from topologies.commands.parameter_types import Duration, PastTime, PointInTime
from topologies.commands.record_file_options import (
    describe_unusable,
    open_files,
    read_messages,
    record_file_options,
    selected_subject,
)
from topologies.commands.running_options import bootstrap_option, config_option, configuration_options
from topologies.errors import DriftwireError
from topologies.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.detect.settings import DetectSettings
    from pipeline.intake import MappingSettings
    from schemas.baseline import Baseline
    from topologies.configuration import Configuration
    from topologies.record_files import ReadOptions, RecordFile

SPAN_MIN_S = 10
"""Minimum seconds of event time from which a baseline can be learned."""

SPAN_SHARE = 0.9
"""Share of the span of the records that the hint of an error requires."""


@click.group("baseline", short_help="Learn, publish, show and accept baselines.")
def command() -> None:
    """Learn, publish, show and accept baselines."""


@command.command("learn")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--topic", metavar="NAME", help="Topic of records to learn from, such as driftwire.records.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="JSON file to write.")
@click.option("--publish", is_flag=True, help="Publish the baseline, as driftwire baseline publish does.")
@click.option(
    "--ready-after",
    type=Duration(),
    help="Event time that the records must span, such as 30m or 24h.  [default: detect.ready_after_s]",
)
@ready_records_option
@click.option(
    "--since",
    "since_s",
    type=Duration(),
    help="Use only records from the most recent period of this length, such as 2h.",
)
@click.option(
    "--from", "from_ms", type=PointInTime(), help="Use only records at or after this time: RFC 3339 or Unix ms."
)
@click.option("--to", "to_ms", type=PointInTime(), help="Use only records before this time.")
@record_file_options
@configuration_options
def learn_command(
    *,
    files: tuple[Path, ...],
    topic: str | None,
    output: Path | None,
    publish: bool,
    mapping: "MappingSettings",
    reading: "ReadOptions",
    since_s: float | None,
    from_ms: int | None,
    to_ms: int | None,
    ready_after: float | None,
    ready_records: int | None,
    configuration: "Configuration",
) -> None:
    """Learn a baseline from FILES of records, or from a topic of records in Kafka.

    The files are NDJSON, JSON, CSV or Parquet, optionally gzipped (.gz). They are merged by time, and each must be in
    time order. If they name several subjects, select one with --subject. The command first shows what it found in the
    files. With --topic, the records of all partitions are read in order of event time, without a mapping.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import and not needed for --help

    from pipeline.detect.offline import learn_history  # noqa: PLC0415  slow to import and not needed for --help
    from pipeline.detect.record_check import describe_bad_fields, describe_look_alikes  # noqa: PLC0415
    from topologies.baselines import publish_baseline  # noqa: PLC0415
    from topologies.record_history import read_record_history  # noqa: PLC0415

    _check_options(files, topic, mapping, has_target=output is not None or publish)
    from_ms = _period_start(since_s, from_ms, to_ms)
    cluster = configuration.kafka.cluster
    settings = configuration.detect.model_copy(update=configuration.detect.readiness(ready_after, ready_records))
    subject = selected_subject(mapping)
    record_files: list[RecordFile] = []
    if topic:
        source = f"{topic} at {cluster} has"
        time_zone = mapping.time_zone or settings.time_zone
        settings = settings.model_copy(update={"time_zone": time_zone})
        messages = read_record_history(cluster, topic, subject=subject, from_ms=from_ms, time_zone=time_zone)
    else:
        source = "the files contain"
        record_files = open_files(files, mapping, reading, time_zone=settings.time_zone, console=Console())
        messages = read_messages(record_files)
    history = learn_history(messages, settings, subject=subject, from_ms=from_ms, to_ms=to_ms)
    for line in describe_unusable(record_files):
        echo(line)
    baseline = _require_baseline(
        history.baselines, history.unusable, settings, held=history.held, subject=subject, source=source
    )
    if output is not None:
        _write_baseline(baseline, output)
    if publish:
        asyncio.run(publish_baseline(cluster, baseline))
    _print_learned(baseline, f"published at {cluster}" if output is None else str(output), history.unusable)
    fields = describe_bad_fields(history.bad_fields[baseline.subject])
    for line in fields + describe_look_alikes(history.look_alikes[baseline.subject]):
        echo(line)
    _print_caveats(baseline, configuration.detect, topic)


def _check_options(files: tuple[Path, ...], topic: str | None, mapping: "MappingSettings", *, has_target: bool) -> None:
    if bool(files) == bool(topic):
        raise click.UsageError("give either FILES of records or --topic, not both")
    if topic and (mapping.map or mapping.absent or mapping.constants or "{" in mapping.subject):
        raise click.UsageError(
            "mapping options apply only to files: to map the messages of a topic, use driftwire worker intake"
        )
    if not has_target:
        raise click.UsageError("add --output FILE to write the baseline to a file, or --publish to publish it")


def _period_start(since_s: float | None, from_ms: int | None, to_ms: int | None) -> int | None:
    if since_s is not None:
        if from_ms is not None:
            raise click.UsageError("give either --since or --from, not both")
        from_ms = now_ms() - round(since_s * 1000)
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise click.UsageError("--to must be later than --from")
    return from_ms


def _write_baseline(baseline: "Baseline", output: Path) -> None:
    try:
        output.write_bytes(baseline.to_json() + b"\n")
    except OSError as error:
        raise DriftwireError(f"{output} cannot be written: {error.strerror}") from error


def _require_baseline(
    baselines: "Mapping[str, Baseline]",
    unusable: Counter[str],
    settings: "DetectSettings",
    *,
    held: Counter[str],
    subject: str | None,
    source: str,
) -> "Baseline":
    """Return the only baseline of a history, which contains enough records.

    Raises
    ------
    DriftwireError
        If there is not exactly one baseline, or if it has too few records.
    """
    if len(baselines) != 1:
        if not baselines and held:
            ((name, count),) = held.most_common(1)
            problem = (
                f"{source} {record_count(count)} of {name}, which are too few: at least {settings.time_jump_records} must "
                f"have times within {duration(settings.time_jump_max_s)} of each other (detect.time_jump_records, "
                "detect.time_jump_max_s)"
            )
        elif subject is not None:
            problem = f"{source} no records of {subject} in this period: check the name and the period"
        elif baselines:
            names = ", ".join(list(baselines)[:NAMES_MAX])
            more = ", ..." if len(baselines) > NAMES_MAX else ""
            problem = f"{source} {len(baselines)} subjects ({names}{more}): select one with --subject"
        else:
            problem = f"{source} no usable records"
        raise DriftwireError(f"{problem}; unusable records: {_reasons(unusable)}")
    (baseline,) = baselines.values()
    span_s = _span_s(baseline)
    if span_s < settings.ready_after_s:
        problem = (
            f"the records of {baseline.subject} span {duration(span_s)}, but a baseline needs "
            f"{duration(settings.ready_after_s)}"
        )
        enough = _ready_after_option(span_s)
        if enough is None:
            raise DriftwireError(f"{problem}: wait for more records")
        raise DriftwireError(f"{problem}: give more records, or add {enough} to learn from these")
    if not baseline.signals:
        lower = (
            f"add --ready-records {baseline.records}"
            if READY_RECORDS_MIN <= baseline.records < settings.ready_records
            else "lower --ready-records"
        )
        raise DriftwireError(
            f"no signal of {baseline.subject} has {settings.ready_records} records "
            f"({settings.ready_records_rate} for a rate): give more records, or {lower}"
        )
    return baseline


def _print_learned(baseline: "Baseline", target: str, unusable: Counter[str]) -> None:
    echo(
        f"{target}: baseline {baseline.baseline_version} of {baseline.subject}, {len(baseline.signals)} signals, "
        f"{baseline.records} records over {duration(_span_s(baseline))}; unusable records: {_reasons(unusable)}"
    )


def _print_caveats(baseline: "Baseline", settings: "DetectSettings", topic: str | None) -> None:
    """Print what the baseline cannot know. ``settings`` are those of the configuration, without the options."""
    from pipeline.detect.baselines import nonstationary_signals  # noqa: PLC0415  slow to import, as above
    from pipeline.detect.offline import smallest_changes  # noqa: PLC0415
    from pipeline.detect.one_sided_tests import NotTestable  # noqa: PLC0415
    from pipeline.detect.settings import DAY_S  # noqa: PLC0415

    if baseline.sampled:
        echo(
            "records are sampled by outcome, so signals that depend on the outcome are not monitored: "
            "list them with driftwire baseline show, or learn from records that are not sampled"
        )
    moving = nonstationary_signals(baseline)
    if moving:
        echo(
            f"not monitored, because the second half of the records differs from the first: {', '.join(moving)}; "
            "choose a steadier period with --from and --to, or learn from more days"
        )
    changes = smallest_changes(baseline, settings)
    told = {change.signal for change in changes if change.size is not None}.union(moving)
    for signal, reason in {change.signal: change.reason for change in changes if change.signal not in told}.items():
        if reason != NotTestable.SAMPLED_BY_OUTCOME:
            echo(f"{signal} is not monitored, because {reason}; learn from more records")
    span_s = _span_s(baseline)
    if span_s >= DAY_S:
        return
    allowance = (
        "driftwire allows for a typical difference between days, so smaller changes are not detected"
        if settings.ready_after_s >= DAY_S
        else "with detect.ready_after_s below a day, driftwire does not allow for it"
    )
    echo(
        f"the baseline covers {duration(span_s)} of the day: what is normal at other hours can be reported as a drift "
        f"({allowance})"
    )
    if topic:
        echo(
            "after a day, learn again: "
            f"driftwire baseline learn --topic {topic} --subject {quote(baseline.subject)} --since 25h --publish"
        )
    else:
        echo("learn again from a day of records when you have them")


def _span_s(baseline: "Baseline") -> float:
    return (baseline.learned_to - baseline.learned_from) / 1000


def _ready_after_option(span_s: float) -> str | None:
    """Return the option that accepts records of this span, or None if they are too few for any baseline.

    >>> _ready_after_option(7_199.0), _ready_after_option(45.5), _ready_after_option(3.0)
    ('--ready-after 107m', '--ready-after 40s', None)
    """
    # With --since, the next attempt reads a later period, whose records can span less.
    enough_s = SPAN_SHARE * span_s
    if enough_s < SPAN_MIN_S:
        return None
    return f"--ready-after {int(enough_s // 60)}m" if enough_s >= 2 * 60 else f"--ready-after {int(enough_s)}s"


def _reasons(unusable: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in unusable.most_common()) or "none"


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
    frozen by an open drift. "pages from" and "tickets from" show the smallest lasting change that nine of ten times is
    detected within a day, or within the days that are given if few records contain the signal. For a rate, this change
    is given as the new mean; for a value, as the shift of all values.
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
    meanwhile = "held against the accepted level" if relearn.accepted else "not monitored"
    return (
        f"relearning from {format_timestamp(relearn.at)}, {meanwhile} until done: {signals} "
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
