"""Settings of a mapping from JSON objects or rows of a file to records, and of the topics that intake reads."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.intake.entries import (
    check_constant,
    parse_constants,
    parse_field_source,
    parse_field_value,
    require_field,
)
from pipeline.subject_rule import SubjectRule
from pipeline.time_zone import check_time_zone

TOPIC_PATTERN = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
"""Names of topics that Kafka allows."""

OWN_PREFIX = "driftwire."
"""Prefix of driftwire's own topics, which intake must not read."""

Constant = bool | int | float | str
"""A value that every record gets."""


class MappingSettings(BaseModel):
    """Which fields of a record come from which values of the source.

    A value whose name is that of a record field is read without an entry. All other values are ignored.

    >>> MappingSettings(map=("latency=latency_ms:s",), subject="{app}-{endpoint}").constants
    {}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    map: tuple[str, ...] = Field(
        default=(),
        description='Sources of record fields, such as "usage.latency=latency_ms:s": a path in the message, the field, '
        "and the unit of the source if it differs (ns, us, ms, s, min, h or %).",
    )
    absent: tuple[str, ...] = Field(
        default=(),
        description='Values that stand for a missing value, such as "latency_ms=-1", as they are in the message.',
    )
    constants: dict[str, Constant] = Field(
        default_factory=dict, description='Values that every record gets, such as environment = "production".'
    )
    subject: str = Field(
        default="",
        description='Subject of the records: a name, or a rule with sources in braces, such as "{app}-{endpoint}".',
    )
    time_zone: str = Field(
        default="",
        max_length=100,
        description="Time zone for times without an offset from UTC. If empty, detect.time_zone applies.",
    )

    @classmethod
    def from_options(cls, *, constants: Sequence[str] = (), **options: Any) -> Self:
        """Return the settings that the options of a command give.

        Raises
        ------
        ValueError
            If an option is invalid. The error names the option.
        """
        return cls(constants=dict(parse_constants(constants)), **options)

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return name and check_time_zone(name)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        mapped: dict[str, str] = {}
        for text in self.map:
            entry = parse_field_source(text)
            if entry.field.name in mapped:
                raise ValueError(f'map "{text}": {entry.field.name} is also mapped to {mapped[entry.field.name]}')
            mapped[entry.field.name] = entry.source.text
        for text in self.absent:
            parse_field_value("absent", text)
        self._check_constants(mapped)
        if self.subject:
            SubjectRule(self.subject)
            if "subject" in mapped:
                raise ValueError(f'subject "{self.subject}": the subject is also mapped to {mapped["subject"]}')
        return self

    def _check_constants(self, mapped: Mapping[str, str]) -> None:
        fields = set()
        for name, value in self.constants.items():
            try:
                field = require_field(name)
                check_constant(field, value)
            except ValueError as error:
                raise ValueError(f'constants "{name}": {error}') from None
            if field.name in fields:
                raise ValueError(f'constants "{name}": {field.name} is given twice')
            fields.add(field.name)
            if field.name in mapped:
                raise ValueError(f'constants "{name}": the field is also mapped to {mapped[field.name]}')


class TopicSettings(MappingSettings):
    """One topic that intake reads, and the mapping of its messages."""

    format: Literal["json", "otlp_spans", "otlp_logs"] = Field(
        default="json",
        description="Format of the messages: json, or what the OpenTelemetry Collector writes for spans (otlp_spans) and log "
        "records (otlp_logs), in Protobuf or JSON.",
    )
    sampled: Literal["", "tail"] = Field(
        default="",
        description='Kind of sampling: "tail" if the topic contains a sample that depends on the outcome, such as all errors and a few '
        "other requests. Rates are then not monitored.",
    )
    message_time: bool = Field(
        default=False,
        description="Use the Kafka timestamp of a message as the time of its records. Use this only for messages that contain "
        "no time, because retries and delays of the producer shift the times.",
    )

    @model_validator(mode="after")
    def _has_one_time(self) -> Self:
        if self.message_time and self.format != "json":
            raise ValueError(
                f"message_time = true: messages of the format {self.format} contain their times; remove it"
            )
        times = [text for text in self.map if parse_field_source(text).field.name == "timestamp"]
        if self.message_time and times:
            raise ValueError(f'map "{times[0]}": message_time = true already sets the time; remove one of them')
        return self


class IntakeSettings(BaseModel):
    """Settings of the intake step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: dict[str, TopicSettings] = Field(
        default_factory=dict, description="Topics of other services to read, and how their messages become records."
    )

    @field_validator("topics")
    @classmethod
    def _are_foreign(cls, topics: dict[str, TopicSettings]) -> dict[str, TopicSettings]:
        for name in topics:
            if not TOPIC_PATTERN.fullmatch(name):
                raise ValueError(f'"{name}" is not a topic name: use letters, digits, dots, hyphens, underscores')
            if name.startswith(OWN_PREFIX):
                raise ValueError(f'"{name}" belongs to driftwire: use a topic of another service')
        return topics

    def mapping(self, topic: str, time_zone: str) -> TopicSettings:
        """Return the mapping of a topic, with a time zone for a mapping without one.

        Raises
        ------
        KeyError
            If intake does not read the topic.
        """
        settings = self.topics[topic]
        return settings if settings.time_zone else settings.model_copy(update={"time_zone": time_zone})
