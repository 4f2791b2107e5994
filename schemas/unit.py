"""Units of the numbers in messages: UCUM codes, as in OpenTelemetry, in the keyword ``x-unit`` of the JSON Schemas."""

from dataclasses import dataclass

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

UNIT_KEYWORD = "x-unit"
"""Keyword of a number's unit. JSON Schema has none, and reserves names that begin with x- for extensions."""

SIGNAL_UNIT = "{signal_unit}"
"""Code of a number whose unit is that of its signal."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Annotation that states the unit of a number.

    Parameters
    ----------
    code
        UCUM code: ``ms``, ``s``, ``By``, ``1`` for a number without a unit, or the counted things in braces.

    >>> from typing import Annotated
    >>> from pydantic import TypeAdapter
    >>> TypeAdapter(Annotated[float, Unit("ms")]).json_schema()
    {'type': 'number', 'x-unit': 'ms'}
    """

    code: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the unit to the schema of the number."""
        return {**handler(core_schema), UNIT_KEYWORD: self.code}
