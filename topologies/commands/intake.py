"""``driftwire intake``: show how messages of another service would be read."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from pipeline.wording import one_line
from topologies.commands.mapping_options import mapping_options
from topologies.commands.running_options import configuration_options
from topologies.terminal import echo

if TYPE_CHECKING:
    from pipeline.intake import IntakeSettings, MappingSettings, Preview
    from pipeline.step import InputMessage
    from topologies.configuration import Configuration

COUNT = 20
VALUE_LENGTH_MAX = 60
"""Maximum number of characters of a value that is shown."""


@click.group("intake", short_help="Show how messages of another service would be read.")
def command() -> None:
    """Make records from the topics of other services."""


@command.command("check")
@click.option("--topic", required=True, metavar="NAME", help="Topic to read.")
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=COUNT,
    show_default=True,
    help="Number of latest messages to show.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "otlp_spans", "otlp_logs"]),
    help="Format of the messages: json, or spans or log records of OpenTelemetry.  [default: that of the configuration]",
)
@mapping_options
@configuration_options
def check_command(
    topic: str, count: int, form: str | None, mapping: "MappingSettings", configuration: "Configuration"
) -> None:
    """Show the latest messages of a topic as intake would read them.

    The mapping comes from the options, or from intake.topics in the configuration if there are no options. For each
    message, the command shows the fields of its record, or why there is no record. Ignored values are shown only by
    type and length. Nothing is written. The exit status is 1 if a message gives no record or a value cannot be used.
    """
    from pipeline.intake import preview_messages  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.kafka import read_topic  # noqa: PLC0415

    settings = _find_settings(topic, form, mapping, configuration)

    async def read() -> "list[InputMessage]":
        return [message async for message in read_topic(configuration.kafka.cluster, topic, latest=count)]

    messages = asyncio.run(read())
    preview = preview_messages(messages, settings.mapping(topic, configuration.detect.time_zone))
    if not messages:
        echo(f"{topic} has no messages yet")
        return
    _print(topic, len(messages), preview)
    if any(shown.problem or shown.unusable for shown in preview.objects):
        raise click.exceptions.Exit(1)


def _find_settings(
    topic: str, form: str | None, mapping: "MappingSettings", configuration: "Configuration"
) -> "IntakeSettings":
    """Return settings with the topic, by the options if there are any."""
    from pipeline.intake import IntakeSettings, MappingSettings  # noqa: PLC0415

    configured = configuration.intake.topics.get(topic)
    if configured is not None and form in (None, configured.format) and mapping == MappingSettings():
        return configuration.intake
    chosen = form or (configured.format if configured is not None else "json")
    try:
        return IntakeSettings.model_validate({"topics": {topic: {"format": chosen} | mapping.model_dump()}})
    except ValueError as error:
        raise click.UsageError(one_line(error)) from None


def _print(topic: str, message_count: int, preview: "Preview") -> None:
    _print_objects(preview)
    if preview.left_out:
        echo("Left out, because no entry of the mapping names it:")
        width = max(map(len, preview.left_out))
        for name, kinds in sorted(preview.left_out.items()):
            echo(f"  {name:<{width}}  {_join_kinds(kinds)}")
        echo("")
    objects, skipped = len(preview.objects), sum(bool(shown.skipped) for shown in preview.objects)
    without = objects - preview.record_count - skipped
    echo(f"{topic}: {message_count} messages with {objects} objects; {preview.record_count} become records")
    if skipped:
        echo(f"{skipped} are not read: they describe no request")
    if without:
        echo(f"{without} would become dead letters: see the reasons above")


def _print_objects(preview: "Preview") -> None:
    for shown in preview.objects:
        if shown.skipped:
            continue
        place = f"partition {shown.message.partition}, offset {shown.message.offset}"
        place += "" if shown.index is None else f", element {shown.index}"
        if shown.problem or shown.mapped is None:
            echo(f"{place}: no record: {shown.problem}")
        else:
            record = shown.mapped.record
            echo(f"{place}: record of {record['subject']} at {record['timestamp']}")
        width = max((len(source) for source, *_ in (*shown.values, *shown.unusable)), default=0)
        for source, name, value in shown.values:
            echo(f"  {source:<{width}}  {name} = {_short(value)}")
        for source, name, reason, description in shown.unusable:
            echo(f"  {source:<{width}}  {name} cannot be used ({reason}): {description}")
        echo("")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[: VALUE_LENGTH_MAX - 3]}..."


def _join_kinds(kinds: set[str]) -> str:
    """Join the descriptions of a value, with the range of the lengths of texts.

    >>> _join_kinds({"text of 5 characters", "text of 12 characters", "null"})
    'null; text of 5 to 12 characters'
    """
    lengths = sorted(int(kind.split()[2]) for kind in kinds if kind.startswith("text of"))
    others = sorted(kind for kind in kinds if not kind.startswith("text of"))
    if lengths:
        span = f"{lengths[0]} to {lengths[-1]}" if lengths[0] < lengths[-1] else f"{lengths[0]}"
        others.append(f"text of {span} characters")
    return "; ".join(others)
