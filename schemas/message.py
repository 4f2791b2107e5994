"""Base of all messages: strict types, unknown fields ignored, JSON with RFC 3339 times."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.unit import Unit

INTEGER_MAX = 2**53 - 1
"""Largest integer of a message. JSON readers that use doubles cannot represent larger integers exactly."""

TEXT_LENGTH_MAX = 50_000
"""Maximum number of characters in a text, such as a summary or a draft."""

AHEAD_MAX_MS = 300_000
"""Maximum milliseconds by which the time of a command or deployment may be ahead of its arrival."""

ITEMS_MAX = 10_000
"""Maximum number of items in a list or object that has no smaller limit."""

Integer = Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Natural = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
Text = Annotated[str, Field(max_length=TEXT_LENGTH_MAX)]
Position = Annotated[Integer, Unit("1")]
RecordCount = Annotated[Natural, Unit("{records}")]
Version = Annotated[Literal[1], Field(description="Version of the contract of this message.")]


class Message(BaseModel):
    """Base of every contract.

    Changes only add fields with defaults, and readers ignore unknown fields. A newer producer therefore does not break
    an older consumer. Types are strict: ``"true"`` is not a boolean and ``"3"`` is not a number. Every integer, text
    and list has a limit, and floats are finite, so every accepted message can be stored and written.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    def to_json(self) -> bytes:
        """Return the message as one line of JSON, without fields that are None."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read a message.

        Raises
        ------
        pydantic.ValidationError
            If the bytes are not JSON or do not fit the contract.
        """
        return cls.model_validate_json(value)
