"""The reasons why a value of a field cannot be used."""

from typing import Any, Literal

from pipeline.lenient_json import BadValue

FaultReason = Literal[
    "is_text",
    "is_number",
    "is_boolean",
    "is_list",
    "is_object",
    "bad_items",
    "out_of_bounds",
    "too_long",
    "not_an_object",
    "too_many_fields",
    "bad_name",
    "too_many",
    "not_json",
    "not_utf8",
]
"""Reason why a field is dropped. The record is still used. For a value of another type, it is the type found."""

_TYPE_FAULTS: dict[type, FaultReason] = {
    str: "is_text",
    int: "is_number",
    float: "is_number",
    bool: "is_boolean",
    list: "is_list",
    dict: "is_object",
}


def find_type_fault(value: Any) -> FaultReason:
    """Return the fault of a value, not None, that has the wrong type for its field.

    >>> find_type_fault("fast"), find_type_fault(True)
    ('is_text', 'is_boolean')
    """
    return value.reason if isinstance(value, BadValue) else _TYPE_FAULTS[type(value)]
