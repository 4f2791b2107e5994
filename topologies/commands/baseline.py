"""``driftwire baseline``: learn from a file what is normal, publish it before a go-live, and look at it."""

import asyncio
from pathlib import Path
from uuid import uuid4

import click

from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.timestamp import format_timestamp
from topologies.commands.options import author_option, now_ms
from topologies.commands.running_options import config_option
from topologies.commands.values import Duration, PointInTime

bootstrap_option = click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    envvar="DRIFTWIRE_BOOTSTRAP",
    show_envvar=True,
    help="Where Kafka is, whatever the configuration says.",
)


@click.group("baseline", short_help="Learn, publish, show and accept what is normal.")
def command() -> None:
    """Learn, publish, show and accept what is normal."""


@command.command("learn")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The JSON file.")
@click.option("--subject", metavar="NAME", help="Whose baseline, where the files have several subjects.")
@click.option(
    "--ready-after", type=Duration(), help="Event time that will do: 30m, 24h.  [default: detect.ready_after_s]"
)
@click.option(
    "--ready-records", type=click.IntRange(100), help="Records a signal needs.  [default: detect.ready_records]"
)
@click.option("--from", "from_ms", type=PointInTime(), help="Only records from this time on: RFC 3339, or Unix ms.")
@click.option("--to", "to_ms", type=PointInTime(), help="Only records before this time.")
@config_option
def learn_command(
    *,
    files: tuple[Path, ...],
    output: Path,
    subject: str | None,
    from_ms: int | None,
    to_ms: int | None,
    ready_after: float | None,
    ready_records: int | None,
    config: Path | None,
) -> None:
    """Learn a baseline from FILES of records: NDJSON, .gz too, in the order of their times."""
    from pipeline.detect.baselines import moving_signals  # noqa: PLC0415
    from pipeline.detect.offline import learn_history  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.baselines import read_lines  # noqa: PLC0415
    from topologies.configuration import load  # noqa: PLC0415
    from topologies.errors import Failure  # noqa: PLC0415

    settings = load(config).detect
    settings = settings.model_copy(update=settings.readiness(ready_after, ready_records))
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise click.UsageError("--to must lie after --from")
    history = learn_history(read_lines(files), settings, subject=subject, from_ms=from_ms, to_ms=to_ms)
    refused = ", ".join(f"{reason} {count}" for reason, count in history.refused.most_common()) or "none"
    if len(history.baselines) != 1:
        names = ", ".join(history.baselines) or "none"
        wanted = (
            f"no records of {subject}" if subject else f"the files have {len(history.baselines)} subjects ({names})"
        )
        raise Failure(f"{wanted}: name one with --subject; records that could not be used: {refused}")
    (baseline,) = history.baselines.values()
    span_s = (baseline.learned_to - baseline.learned_from) / 1000
    if span_s < settings.ready_after_s:
        raise Failure(
            f"the records of {baseline.subject} span {_span(span_s)} and a baseline needs "
            f"{_span(settings.ready_after_s)}: give more records, or accept less with --ready-after"
        )
    if not baseline.signals:
        raise Failure(f"no signal of {baseline.subject} has {settings.ready_records} records: see --ready-records")
    try:
        output.write_bytes(baseline.to_json() + b"\n")
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from error
    click.echo(
        f"{output}: baseline {baseline.baseline_version} of {baseline.subject}, {len(baseline.signals)} signals, "
        f"{baseline.records} records over {_span(span_s)}; records that could not be used: {refused}"
    )
    moving = moving_signals(baseline)
    if moving:
        click.echo(
            f"not judged, because the second half of the time was unlike the first: {', '.join(moving)}; "
            "learn from a steadier time with --from and --to, or from more days"
        )


@command.command("publish")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@bootstrap_option
@config_option
def publish_command(file: Path, bootstrap: str | None, config: Path | None) -> None:
    """Write the baseline of FILE to Kafka: detect judges its subject by it from then on."""
    from topologies.baselines import publish, read_baseline  # noqa: PLC0415  slow to import, as above
    from topologies.configuration import load  # noqa: PLC0415

    address = bootstrap or load(config).kafka.bootstrap
    baseline = read_baseline(file)
    asyncio.run(publish(address, baseline))
    click.echo(f"published baseline {baseline.baseline_version} of {baseline.subject} at {address}")


@command.command("show")
@click.argument("what", metavar="FILE|SUBJECT")
@bootstrap_option
@config_option
def show_command(what: str, bootstrap: str | None, config: Path | None) -> None:
    """Show a baseline: of a FILE, or the newest of a SUBJECT at a running driftwire, with what of it is frozen.

    "pages from" and "tickets from" are the smallest lasting changes that would be seen: of a rate its new mean, of a
    value how far all of them move.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, as above

    from topologies.baselines import (  # noqa: PLC0415
        baseline_table,  # noqa: PLC0415
        frozen_of,
        known_of,
        read_baseline,
    )
    from topologies.configuration import load  # noqa: PLC0415

    configuration = load(config)
    lines: list[str] = []
    if Path(what).is_file():
        baseline = read_baseline(Path(what))
    else:
        where = bootstrap or configuration.kafka.bootstrap
        baseline, asked = asyncio.run(known_of(where, what))
        lines = [*map(_asked, asked), *map(_frozen, asyncio.run(frozen_of(where, what)))]
    console = Console()
    console.print(baseline_table(baseline, configuration.detect, console.width))
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _asked(relearn: Relearn) -> str:
    signals = ", ".join(relearn.signals) or "every signal"
    return (
        f"learned anew from {format_timestamp(relearn.at)} on, and not judged until then: {signals} "
        f"({relearn.reason}, {relearn.requested_by or 'nobody named'})"
    )


def _frozen(drift: Drift) -> str:
    where = f" in {drift.segment}" if drift.segment else ""
    return (
        f"frozen until it recovers or its new normal is accepted: {drift.signal} {drift.channel} {drift.side}{where}, "
        f"a {drift.tier} since {format_timestamp(drift.started_at)}"
    )


def _span(seconds: float) -> str:
    """A duration in the largest unit that gives at least two of it.

    >>> _span(5400)
    '90 min'
    """
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


@command.command("accept")
@click.argument("subject", metavar="SUBJECT")
@click.option(
    "--signal", "signals", multiple=True, metavar="NAME", help="Only this signal; repeatable.  [default: all]"
)
@click.option("--from", "from_ms", type=PointInTime(), help="When the new normal began.  [default: now]")
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
    """Accept the new normal of SUBJECT: it is learned anew, and not judged until it is.

    How long that takes is detect.relearn_after_s, in event time. The signals that are not named are judged as before.
    """
    from topologies.baselines import accept  # noqa: PLC0415  slow to import, as above
    from topologies.configuration import load  # noqa: PLC0415

    configuration = load(config)
    relearn = Relearn(
        relearn_id=f"accept-{uuid4().hex[:16]}",
        subject=subject,
        at=now_ms() if from_ms is None else from_ms,
        signals=sorted(set(signals)),
        reason="accepted",
        requested_by=author,
    )
    address = bootstrap or configuration.kafka.bootstrap
    asyncio.run(accept(address, relearn))
    named = ", ".join(relearn.signals) or "every signal"
    click.echo(
        f"accepted: detect learns {named} of {subject} anew over {_span(configuration.detect.relearn_after_s)} "
        "of records, and does not judge it meanwhile"
    )
