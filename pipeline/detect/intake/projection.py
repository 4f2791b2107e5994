"""Projection: a large record cut down to what detect can use of it, so that nobody's extra fields fill the memory.

It changes nothing of what a record means: a field of the wrong type stays of the wrong type, a label that is too long
stays too long, and a section with too many fields of the sender's own keeps more of them than are allowed.
"""

from itertools import islice
from typing import Any

from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

PROJECT_ABOVE_BYTES = 8192
"""Bytes of JSON; a smaller record is kept whole, because cutting it costs more than it saves."""

CUSTOM_FIELDS_MAX = 64
"""Fields of ``custom`` in one record; a section with more is a bad section."""

SECTIONS = ("infrastructure", "output", "data", "safety")
"""The sections whose fields the contract names. ``custom`` is the section whose fields it does not."""

EMBEDDING = "embedding"
"""The one field that is a list: in the section of data."""

FIELDS: dict[str, frozenset[str]] = {
    section: frozenset(row.field for row in (*catalogue.SIGNALS, *catalogue.CATEGORIES) if row.section == section)
    for section in SECTIONS
}
FIELDS["data"] |= {EMBEDDING}
"""By section, the fields that detect reads."""

LABEL_SECTIONS = ("versions", "segment")
"""The sections of labels whose names are the sender's own."""

LABEL_FIELDS_MAX = 8
"""Labels of one such section that are read; further ones are not."""

LABELS = ("request_id", "environment", "provider", "provider_model")
"""The labels outside any section that detect reads."""


def project(record: dict[str, Any]) -> dict[str, Any]:
    """Cut a record down.

    >>> project({"subject": "bot", "note": "x", "output": {"length": 3, "text": "x" * 9000}, "data": 5})
    {'subject': 'bot', 'output': {'length': 3}, 'data': 5}
    """
    kept = {name: _small(record[name]) for name in ("subject", "timestamp", *LABELS) if name in record}
    for section in SECTIONS:
        if section in record:
            content = record[section]
            if isinstance(content, dict):
                # In the sender's order, which is the order in which a subject's signals appear.
                kept[section] = {
                    name: value if name == EMBEDDING else _small(value)
                    for name, value in content.items()
                    if name in FIELDS[section]
                }
            else:
                kept[section] = _small(content)
    for section in LABEL_SECTIONS:
        if section in record:
            content = record[section]
            if isinstance(content, dict):
                some = islice(content.items(), LABEL_FIELDS_MAX)
                kept[section] = {_small(name): _small(value) for name, value in some}
            else:
                kept[section] = _small(content)
    if "custom" in record:
        content = record["custom"]
        if isinstance(content, dict):
            some = islice(content.items(), CUSTOM_FIELDS_MAX + 1)
            kept["custom"] = {_small(name): _small(value) for name, value in some}
        else:
            kept["custom"] = _small(content)
    return kept


def _small(value: Any) -> Any:
    if isinstance(value, str):
        return value[: SUBJECT_LENGTH_MAX + 1]
    if isinstance(value, list):
        return []
    if isinstance(value, dict):
        return {}
    return value
