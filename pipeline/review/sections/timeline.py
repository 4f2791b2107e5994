"""Timeline: the events of the incident in order, each with its source."""

from collections.abc import Iterable, Iterator

from pipeline.correlate.deployments import describe_change
from pipeline.review.markdown import code, escape, table
from pipeline.review.material import Material
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Incident
from schemas.timestamp import date_time

LINES_MAX = 200
"""Maximum number of lines in a timeline. The middle of a longer timeline is omitted."""

COMMANDS = (
    "acknowledge",
    "unacknowledge",
    "classify",
    "assign",
    "commander",
    "note",
    "mitigate",
    "resolve",
    "reopen",
    "merge",
    "unmerge",
    "accept",
)
"""Events of the running log that come from commands."""

_MINOR_CHANGES = ("opened", "newer numbers", "further suspects")
"""Revision changes that the timeline omits because they are unimportant or already in the running log."""

_LOGGED_CHANGES = (
    ("-> acknowledged", "acknowledge"),
    ("acknowledged -> open", "unacknowledge"),
    ("-> resolved", "resolved"),
    ("-> resolved", "resolve"),
)
"""Suffix of a revision change, and the event of the running log for the same change."""

TimelineLine = tuple[int, str, str]
"""Time (Unix ms), text and source, as Markdown."""


def write_timeline(material: Material) -> list[str]:
    """Write the lines of the section."""
    lines = sorted(_lines(material), key=lambda line: line[0])
    shown = [(date_time(at), text, source) for at, text, source in lines]
    if len(shown) > LINES_MAX:
        half = LINES_MAX // 2
        gap = ("", f"{len(shown) - LINES_MAX} lines omitted", "")
        shown = [*shown[:half], gap, *shown[-half:]]
    notes = [
        "All times are UTC. The start is an estimate. People's names come from their commands and are not verified."
    ]
    if material.missing_revisions:
        notes.append(
            f"{material.missing_revisions} of {material.incident.revision} revisions are no longer on the topic, so changes "
            "that only they contained are missing."
        )
    return [" ".join(notes), "", *table(("when", "what", "source"), shown)]


def _lines(material: Material) -> Iterator[TimelineLine]:
    incident = material.incident
    yield from _deployments(material)
    yield incident.started_at, "**Start** (estimate).", "evidence"
    for line in incident.evidence:
        if line.started_at != incident.started_at:
            text = f"{code(line.signal)} left its baseline (estimate)."
            yield line.started_at, text, f"evidence, drift {code(line.drift_id)}"
    yield incident.detected_at, f"**Detected**, {duration(incident.detection_gap_s)} after the start.", "evidence"
    for entry in incident.log:
        kind = "command " if entry.event in COMMANDS else ""
        yield entry.at, escape(entry.text), f"running log, {kind}{code(entry.event)}"
    yield from _changes(material.revisions)


def _deployments(material: Material) -> Iterator[TimelineLine]:
    """Yield the deployments that the running log does not contain."""
    logged = [(entry.at, entry.text) for entry in material.incident.log if entry.event in ("deployment", "rollback")]
    for deployment in material.deployments:
        name = deployment.deployment_id
        if not any(at == deployment.timestamp and name in text for at, text in logged):
            text = f"{escape(describe_change(deployment))} was deployed{_scope(deployment)}."
            yield deployment.timestamp, text, f"deployment {code(name)}"


def _scope(deployment: Deployment) -> str:
    if deployment.subject is not None:
        return ""
    scopes = (("environment", deployment.environment), ("provider", deployment.provider))
    return " to all of " + " and ".join(f"{name} {code(value)}" for name, value in scopes if value)


def _changes(revisions: Iterable[Incident]) -> Iterator[TimelineLine]:
    """Yield the revision changes that the running log does not contain."""
    for incident in revisions:
        parts = [part for part in incident.change.split("; ") if part and _is_shown(part, incident)]
        if parts:
            yield incident.updated_at, escape("; ".join(parts)), f"revision {incident.revision}"


def _is_shown(part: str, incident: Incident) -> bool:
    if part in _MINOR_CHANGES or part.startswith("new signal: ") or any(part in entry.text for entry in incident.log):
        return False
    events = {entry.event for entry in incident.log}
    return not any(part.endswith(ending) and event in events for ending, event in _LOGGED_CHANGES)
