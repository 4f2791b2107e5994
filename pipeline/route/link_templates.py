"""Templates of the links in messages: an address with placeholders for what is known about an incident.

Values come from records, so they are percent-encoded. No value can change the host, the path or the parameters of a link.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator

from pipeline.route.receiver_settings import is_web_address
from pipeline.wording import did_you_mean
from schemas.incident import Incident

MARGIN_MS = 600_000
"""Milliseconds before the start and after the end of an incident that ``from`` and ``to`` include. Higher values show more
of the time when nothing was wrong."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

_LABEL = re.compile(r"[^\W_](?:[^\W_]|[ -]){0,39}")


def _from_ms(incident: Incident, _: int) -> int:
    return max(0, incident.started_at - MARGIN_MS)


def _to_ms(incident: Incident, at: int) -> int:
    """Return the end of the time that matters. An incident that is not over goes on until its notification."""
    return max(incident.started_at, incident.resolved_at or at) + MARGIN_MS


_VALUES: Mapping[str, Callable[[Incident, int], str | int]] = {
    "incident_id": lambda incident, _: incident.incident_id,
    "subject": lambda incident, _: incident.subject,
    "failure_mode": lambda incident, _: incident.failure_mode,
    "environment": lambda incident, _: incident.environment or "",
    "provider": lambda incident, _: incident.provider or "",
    "from_s": lambda incident, at: _from_ms(incident, at) // 1000,
    "from_ms": _from_ms,
    "to_s": lambda incident, at: _to_ms(incident, at) // 1000,
    "to_ms": _to_ms,
}
"""The value of each placeholder, for an incident and the time of its notification (Unix ms)."""


def check_link_label(label: str) -> str:
    """Return the label of a link if it is plain text in every markup.

    Raises
    ------
    ValueError
        If it has other characters, or if it is the label of the runbook.
    """
    if label.lower() == "runbook":
        raise ValueError("every message has a link to the runbook; choose another name")
    if not _LABEL.fullmatch(label):
        raise ValueError("the name of a link must have 1 to 40 letters, digits, spaces and hyphens")
    return label


def check_link_template(template: str) -> str:
    """Return a template if every incident gives a valid address.

    Raises
    ------
    ValueError
        If a placeholder is unknown or before the path, if a brace does not belong to a placeholder, or if the address is
        not an http or https address, or has a user or a password.
    """
    for name in _PLACEHOLDER.findall(template):
        if name not in _VALUES:
            raise ValueError(f"unknown placeholder {{{name}}}; {did_you_mean(name, _VALUES)}")
    example = _PLACEHOLDER.sub("x", template)
    if "{" in example or "}" in example:
        raise ValueError("a brace must be part of a placeholder; write %7B and %7D for other braces")
    if not is_web_address(example):
        raise ValueError("it must be an http or https address with a host")
    host = urlsplit(template).netloc
    if "{" in host:
        raise ValueError("a placeholder must be in the path, in the parameters or after them, not in the host")
    if "@" in host:
        raise ValueError("it must not contain a user or a password, because everybody who gets a message sees it")
    if _has_dot_segment(example):
        raise ValueError("its path must not contain . or .. as a folder")
    return template


def fill_link_template(template: str, incident: Incident, at: int) -> str | None:
    """Return the address for an incident and the time of its notification (Unix ms).

    Returns
    -------
    str or None
        None if a value would be ``.`` or ``..`` in the path, because browsers remove these with the folder before them.

    >>> from schemas.incident import Incident
    >>> incident = Incident.model_construct(subject="a/b&c", started_at=1_795_489_920_000, resolved_at=None)
    >>> fill_link_template("https://traces.example.org/?service={subject}&from={from_s}", incident, 0)
    'https://traces.example.org/?service=a%2Fb%26c&from=1795489320'
    """
    url = _PLACEHOLDER.sub(lambda found: _encode(str(_VALUES[found[1]](incident, at))), template)
    return None if _has_dot_segment(url) else url


def _encode(value: str) -> str:
    return quote(value, safe="", errors="replace")


def _has_dot_segment(url: str) -> bool:
    return any(segment in (".", "..") for segment in urlsplit(url).path.split("/"))


LinkLabel = Annotated[str, AfterValidator(check_link_label)]
"""Label of a link in a message."""

LinkTemplate = Annotated[str, AfterValidator(check_link_template)]
"""Address with placeholders."""
