"""What all messages share: strict types, unknown fields ignored, JSON with times in RFC 3339."""

from typing import Self

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """The base of every contract.

    Readers ignore unknown fields, so a newer producer does not break an older consumer; changes are additive, with
    defaults. Types are strict: ``"true"`` is no boolean and ``"3"`` no number.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    def to_json(self) -> bytes:
        """The message as one line of JSON, without the fields that say nothing."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read a message.

        Raises
        ------
        pydantic.ValidationError
            If the bytes are not JSON, or do not fit the contract.
        """
        return cls.model_validate_json(value)
