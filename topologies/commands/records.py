"""``driftwire records``: check records, in files or in a topic, for everything that detect could not use."""

import asyncio
import codecs
import gzip
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from pipeline.step import RawMessage
from pipeline.wording import record_count
from topologies.commands.running_options import configuration_options
from topologies.errors import DriftwireError
from topologies.kafka import Cluster, read_topic
from topologies.terminal import echo, echo_json

if TYPE_CHECKING:
    from pipeline.detect.record_check import CheckedRecords, RecordProblem
    from topologies.configuration import Configuration

BATCH_MESSAGES = 1000
NO_PARTITION = -1
"""Partition of a line of a file, whose offset is its number."""

PLACES_MAX = 10
"""Number of places that are listed for each kind of problem without ``--all``."""


@click.group("records", short_help="Check records for problems.")
def command() -> None:
    """Check records for problems."""


@command.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--topic", metavar="TOPIC", help="Check the records in this topic instead of files.")
@click.option("--all", "lists_all", is_flag=True, help="List every place, not only the first 10 of each problem.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per problem, and a summary at the end.")
@configuration_options
def check_command(
    *, files: tuple[Path, ...], topic: str | None, lists_all: bool, as_json: bool, configuration: "Configuration"
) -> None:
    """Check the records in FILES or in a topic with the same code as detect.

    Prints one line per problem: the place, the problem, and what to send instead. A place is FILE:LINE or
    TOPIC/PARTITION/OFFSET, with the index in an array. The summary counts used and unusable records, duplicates, and
    records out of order. It also counts dropped and converted fields, and unknown fields, which are ignored. Only
    records in a topic have an arrival time, with which their time is compared.

    Exits with status 1 if any record or field cannot be used.
    """
    from pipeline.detect.record_check import RecordChecker  # noqa: PLC0415  slow to import, not needed for --help

    if bool(files) == bool(topic):
        raise click.UsageError("give either FILES or --topic")
    checker = RecordChecker(configuration.detect, live=topic is not None)
    listed: Counter[tuple[str, str]] = Counter()

    def check(messages: Sequence[RawMessage]) -> None:
        by_offset = {message.offset: message for message in messages}
        for problem in checker.check(messages):
            kind = (problem.field, problem.reason)
            listed[kind] += 1
            if lists_all or listed[kind] <= PLACES_MAX:
                _print_problem(_place(by_offset[problem.offset], problem.index), problem, as_json=as_json)

    if topic is None:
        for path in files:
            messages = _read_file(path)
            while batch := list(islice(messages, BATCH_MESSAGES)):
                check(batch)
    else:
        asyncio.run(_check_topic(configuration.kafka.cluster, topic, check))
    _print_summary(checker.counts, as_json=as_json)
    if checker.counts.has_problems:
        raise SystemExit(1)


def _read_file(path: Path) -> Iterator[RawMessage]:
    """Yield the lines of an NDJSON file as messages. The offset of a message is the number of its line, from 1."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901  of the file, not of the record
                if line.strip():
                    yield RawMessage(str(path), NO_PARTITION, number, 0, None, line.rstrip(b"\r\n"))
    except (OSError, EOFError, zlib.error) as error:
        raise DriftwireError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


async def _check_topic(cluster: Cluster, topic: str, check: Any) -> None:
    async for batch in _batches(read_topic(cluster, topic)):
        check(batch)


async def _batches(messages: AsyncIterator[RawMessage]) -> AsyncIterator[list[RawMessage]]:
    """Yield the messages in batches of one partition each."""
    batch: list[RawMessage] = []
    async for message in messages:
        if batch and (len(batch) >= BATCH_MESSAGES or message.partition != batch[0].partition):
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch


def _place(message: RawMessage, index: int | None) -> str:
    """Return FILE:LINE or TOPIC/PARTITION/OFFSET, with the index in an array."""
    is_line = message.partition == NO_PARTITION
    place = f"{message.topic}:{message.offset}" if is_line else f"{message.topic}/{message.partition}/{message.offset}"
    return place if index is None else f"{place}[{index}]"


def _print_problem(place: str, problem: "RecordProblem", *, as_json: bool) -> None:
    if not as_json:
        echo(f"{place}: {problem.description}: {problem.advice}")
        return
    content = {
        "place": place,
        "field": problem.field,
        "reason": problem.reason,
        "description": problem.description,
        "advice": problem.advice,
    }
    echo_json(orjson.dumps(content))


def _print_summary(counts: "CheckedRecords", *, as_json: bool) -> None:
    from pipeline.detect.record_check import describe_bad_fields, describe_unknown_field  # noqa: PLC0415  as above

    if as_json:
        summary = {
            "records_used": counts.used,
            "records_unusable": dict(counts.unusable.most_common()),
            "duplicates": counts.duplicates,
            "out_of_order": counts.out_of_order,
            "bad_fields": [[*key, count] for key, count in counts.bad_fields.most_common()],
            "converted_fields": dict(counts.converted_fields.most_common()),
            "unknown_fields": dict(counts.unknown_fields.most_common()),
        }
        echo_json(orjson.dumps({"summary": summary}))
        return
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.unusable.most_common())
    echo(
        f"{record_count(counts.used)} used, {counts.unusable.total():,} unusable{f' ({reasons})' if reasons else ''}, "
        f"{counts.duplicates:,} dropped as duplicates, {counts.out_of_order:,} older than an earlier record"
    )
    for label, lines in (
        ("dropped", describe_bad_fields(counts.bad_fields)),
        ("converted", [f"{path} in {record_count(count)}" for path, count in counts.converted_fields.most_common()]),
        (
            "unknown and ignored",
            [
                f"{describe_unknown_field(path)} in {record_count(count)}"
                for path, count in counts.unknown_fields.most_common()
            ],
        ),
    ):
        for line in lines:
            echo(f"{label}: {line}")
