"""The ids of incidents at the end of a text for another tool, which the tool's answers lead back from."""

import re
from collections.abc import Iterable

REFERENCED_MAX = 20
"""Maximum number of incidents in a reference."""

_ID = r"inc-[0-9a-f]{1,64}"
_INCIDENT_ID = re.compile(_ID)
_REFERENCE = re.compile(rf"\(({_ID}(?:, {_ID})*)\)")


def write_reference(incident_ids: Iterable[str]) -> str:
    """Return the reference to incidents, or an empty string if no id is one that correlate gives.

    >>> write_reference(["inc-3f9a21c0b7", "inc-95456c10c1"])
    ' (inc-3f9a21c0b7, inc-95456c10c1)'
    """
    known = [incident_id for incident_id in incident_ids if _INCIDENT_ID.fullmatch(incident_id)]
    return f" ({', '.join(known[:REFERENCED_MAX])})" if known else ""


def read_reference(text: str) -> list[str]:
    """Return the ids in the last reference of a text, because a text from records can only be before it.

    >>> read_reference("P1 support-bot (inc-1) leaks personal data (inc-3f9a21c0b7)")
    ['inc-3f9a21c0b7']
    """
    references = _REFERENCE.findall(text)
    return list(dict.fromkeys(references[-1].split(", ")[:REFERENCED_MAX])) if references else []
