"""Find the known field that an unknown field looks like, such as ``output.refused`` for ``output.refusal``."""

import re
from difflib import SequenceMatcher
from functools import lru_cache

from schemas.record_fields import RECORD_FIELDS

SIMILARITY_MIN = 0.7
"""Minimum similarity (0 to 1) of the names of two fields. Higher values find fewer look-alikes."""

START_CHARACTERS = 4
"""Number of first letters that two similar names share. Other names are rejected at almost no cost."""

NAME_LENGTH_MAX = 64
"""Maximum number of characters in a name that is compared."""

_CACHE_SIZE = 4096
_SECTIONS = ("infrastructure", "output", "data", "safety", "versions", "segment", "custom")
_NAMES: dict[str, str] = {field.name: name for name, field in RECORD_FIELDS.items()} | {
    section: section for section in _SECTIONS
}


def _normalise(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


_BY_START: dict[str, list[str]] = {}
for _path, _name in sorted(_NAMES.items()):
    _BY_START.setdefault(_normalise(_name)[:START_CHARACTERS], []).append(_path)


@lru_cache(_CACHE_SIZE)
def find_look_alike(path: str) -> str | None:
    """Return the known field or section that an unknown field looks like, or None.

    Parameters
    ----------
    path
        Section and name of the field, or the name alone of a field outside any section.

    >>> find_look_alike("output.refusal"), find_look_alike("latencyMs"), find_look_alike("output.note")
    ('output.refused', 'infrastructure.latency_ms', None)
    """
    section, _, name = path.rpartition(".")
    if len(name) > NAME_LENGTH_MAX:
        return None
    normal = _normalise(name)
    similarities = [
        (SequenceMatcher(None, normal, _normalise(_NAMES[known])).ratio(), known.startswith(f"{section}."), known)
        for known in _BY_START.get(normal[:START_CHARACTERS], ())
        if known != path
    ]
    similarity, _, known = max(similarities, default=(0.0, False, ""))
    return known if similarity >= SIMILARITY_MIN else None
