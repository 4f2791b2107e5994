"""Links of a message: the runbook of the incident, and the links of the configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pipeline.route import Dispatch
from pipeline.route.labels import RUNBOOK_BASE
from pipeline.route.link_templates import fill_link_template
from pipeline.route.receiver_settings import is_web_address
from schemas.incident import Incident

RUNBOOK = "Runbook"
"""Label of the runbook, as a link or as a fact."""

URL_LENGTH_MAX = 2000
"""Maximum characters of a link. A longer address of a runbook is shown as a fact, shortened and not clickable. Other longer
links are left out."""


@dataclass(frozen=True, slots=True)
class MessageLink:
    """A link. The address contains only characters that are valid in an address."""

    label: str
    url: str


def build_links(dispatch: Dispatch) -> tuple[MessageLink, ...]:
    """Return the links of a message, the runbook first."""
    return tuple(MessageLink(label, url) for label, url in _addresses(dispatch) if len(url) <= URL_LENGTH_MAX)


def find_runbook(incident: Incident, labels: Mapping[str, str | tuple[str, ...]]) -> str:
    """Return where the runbook of an incident is: under the label :data:`RUNBOOK_BASE`, or as in the incident."""
    base = labels.get(RUNBOOK_BASE)
    if not base:
        return incident.runbook
    return f"{base if isinstance(base, str) else base[0]}{quote(incident.failure_mode, safe='', errors='replace')}.md"


def _addresses(dispatch: Dispatch) -> Iterator[tuple[str, str]]:
    runbook = find_runbook(dispatch.incident, dispatch.labels)
    if is_web_address(runbook):
        yield RUNBOOK, _web_address(runbook)
    for label, template in dispatch.links.items():
        url = fill_link_template(template, dispatch.incident, dispatch.decided_at)
        if url is not None:
            yield label, _web_address(url)


def _web_address(url: str) -> str:
    """Encode all characters that could end a link or an attribute."""
    return quote(url, safe=":/?#[]@!$&*+,;=%~", errors="replace")
