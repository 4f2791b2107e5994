"""Base of all messages: strict types, unknown fields ignored, JSON with RFC 3339 times."""

from typing import Self

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of every contract.

    Changes only add fields with defaults, and readers ignore unknown fields. A newer producer therefore does not break
    an older consumer. Types are strict: ``"true"`` is not a boolean and ``"3"`` is not a number.
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
