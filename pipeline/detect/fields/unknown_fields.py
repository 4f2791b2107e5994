"""Find the fields of a record that are ignored, because the contract has no such field."""

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.record_fields import CUSTOM_SECTION, LABEL_SECTIONS, RECORD_FIELDS

SECTIONS = tuple(dict.fromkeys(field.path[0] for field in RECORD_FIELDS.values() if len(field.path) > 1))
"""The sections whose field names the contract defines."""

_KNOWN = {field.path for field in RECORD_FIELDS.values()} | {
    (name,) for name in ("version", *SECTIONS, *LABEL_SECTIONS, CUSTOM_SECTION)
}


def find_unknown_fields(names: Mapping[str, Iterable[Any]]) -> list[str]:
    """Return the fields that are ignored, given the names of fields by section, with "" for those outside any section.

    >>> find_unknown_fields({"": ("subject", "note"), "output": ("length", "text"), "custom": ("any",)})
    ['note', 'output.text']
    """
    unknown = [name for name in names.get("", ()) if (name,) not in _KNOWN]
    return unknown + [
        f"{section}.{name}"
        for section in SECTIONS
        for name in names.get(section, ())
        if isinstance(name, str) and (section, name) not in _KNOWN
    ]
