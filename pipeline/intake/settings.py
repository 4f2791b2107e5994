"""Settings of a mapping from JSON objects or rows of a file to records."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.intake.entries import parse_constants, parse_field_source, parse_field_value, require_field
from pipeline.intake.subject_rule import SubjectRule
from pipeline.time_zone import check_time_zone

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
        for name in self.constants:
            try:
                field = require_field(name)
            except ValueError as error:
                raise ValueError(f'constants "{name}": {error}') from None
            if field.name in ("subject", "timestamp"):
                raise ValueError(f'constants "{name}": a constant cannot be the {name} of a record')
            if field.name in mapped:
                raise ValueError(f'constants "{name}": the field is also mapped to {mapped[field.name]}')
        if self.subject:
            SubjectRule(self.subject)
            if "subject" in mapped:
                raise ValueError(f'subject "{self.subject}": the subject is also mapped to {mapped["subject"]}')
        return self
