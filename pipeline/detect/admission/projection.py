"""Project a large record onto the fields that detect reads, because other fields would use memory.

``decode.py`` calls this module. The projection does not change the result of reading. A field of the wrong type keeps
its type, a label that is too long remains too long, and a section with too many custom fields still has too many of
them.
"""

from itertools import islice
from typing import Any

from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

PROJECT_ABOVE_BYTES = 8192
"""Minimum size of a projected record, in bytes of JSON. For a smaller record, projection costs more than it saves."""

CUSTOM_FIELDS_MAX = 64
"""Maximum number of fields in the ``custom`` section of a record. A section with more fields is dropped."""

SECTIONS = ("infrastructure", "output", "data", "safety")
"""The sections whose field names the contract defines. The sender chooses the field names of ``custom``."""

EMBEDDING_FIELD = "embedding"
"""The only field that is a list. It is in the section ``data``."""

SECTION_FIELDS: dict[str, frozenset[str]] = {
    section: frozenset(row.field for row in (*catalogue.SIGNALS, *catalogue.CATEGORIES) if row.section == section)
    for section in SECTIONS
}
SECTION_FIELDS["data"] |= {EMBEDDING_FIELD}
"""The fields that detect reads, by section."""

LABEL_SECTIONS = ("versions", "segment")
"""The sections whose label names the sender chooses."""

LABEL_FIELDS_MAX = 8
"""Maximum number of labels that are read from a section of sender-chosen labels. Additional labels are ignored."""

OUTER_LABELS = ("request_id", "environment", "provider", "provider_model", "sampled")
"""Labels that detect reads outside any section."""

OUTER_FIELDS = ("subject", "timestamp", "sampling_probability", *OUTER_LABELS)
"""All fields that detect reads outside any section."""


def project(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with only the fields that detect reads.

    >>> project({"subject": "bot", "note": "x", "output": {"length": 3, "text": "x" * 9000}, "data": 5})
    {'subject': 'bot', 'output': {'length': 3}, 'data': 5}
    """
    projected = {name: _shorten(record[name]) for name in OUTER_FIELDS if name in record}
    for section in SECTIONS:
        if section in record:
            content = record[section]
            if isinstance(content, dict):
                # Keep the sender's order, because it decides the order of a subject's signals.
                projected[section] = {
                    name: value if name == EMBEDDING_FIELD else _shorten(value)
                    for name, value in content.items()
                    if name in SECTION_FIELDS[section]
                }
            else:
                projected[section] = _shorten(content)
    for section in LABEL_SECTIONS:
        if section in record:
            projected[section] = _shorten_section(record[section], LABEL_FIELDS_MAX)
    if "custom" in record:
        projected["custom"] = _shorten_section(record["custom"], CUSTOM_FIELDS_MAX + 1)
    return projected


def _shorten_section(content: Any, fields_max: int) -> Any:
    if not isinstance(content, dict):
        return _shorten(content)
    return {_shorten(name): _shorten(value) for name, value in islice(content.items(), fields_max)}


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        return value[: SUBJECT_LENGTH_MAX + 1]
    if isinstance(value, list):
        # A label may be sent as a list of one.
        return [_shorten(value[0])] if len(value) == 1 and not isinstance(value[0], (list, dict)) else []
    if isinstance(value, dict):
        return {}
    return value
