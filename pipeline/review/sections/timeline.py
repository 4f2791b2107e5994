"""Timeline: what happened, in order, each line with the message that says so."""

from collections.abc import Iterable, Iterator

from pipeline.correlate.deployments import describe_change
from pipeline.review.markdown import code, escaped, moment, table
from pipeline.review.material import Material
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Incident

LINES_MAX = 200
"""Lines of a timeline; of a longer one the middle is left out, and that is said."""

COMMANDS = (
    "acknowledge", "classify", "assign", "commander", "note", "mitigate", "resolve", "reopen", "merge", "unmerge", "accept",
)  # fmt: skip
"""Events of the running log that people bring about."""

_NO_NEWS = ("opened", "newer numbers", "further suspects")
"""Parts of what a revision says it changed that tell nothing, or that the log tells."""

_SAID_BY_THE_LOG = (("-> acknowledged", "acknowledge"), ("-> resolved", "resolved"), ("-> resolved", "resolve"))
"""Ends of such a part, and the event of the log that tells the same."""

Line = tuple[int, str, str]


def timeline(material: Material) -> list[str]:
    """The lines of the section."""
    lines = sorted(_lines(material), key=lambda line: line[0])
    shown = [(moment(at), what, source) for at, what, source in lines]
    if len(shown) > LINES_MAX:
        half = LINES_MAX // 2
        gap = ("", f"{len(shown) - LINES_MAX} lines are left out here", "")
        shown = [*shown[:half], gap, *shown[-half:]]
    notes = ["All times are UTC. The beginning is an estimate; all else is as the messages say."]
    if material.revisions_missing:
        notes.append(
            f"{material.revisions_missing} of {material.incident.revision} revisions are no longer on the topic: what only "
            "they told is missing here."
        )
    return [" ".join(notes), "", *table(("when", "what", "source"), shown)]


def _lines(material: Material) -> Iterator[Line]:
    incident = material.incident
    yield from _deployments(material)
    yield incident.started_at, "**It began** (estimate).", "evidence"
    for line in incident.evidence:
        if line.started_at != incident.started_at:
            yield (
                line.started_at,
                f"{code(line.signal)} left its baseline (estimate).",
                f"evidence, drift {code(line.drift_id)}",
            )
    yield incident.detected_at, f"**Detected**, {duration(incident.detection_gap_s)} after the start.", "evidence"
    for entry in incident.log:
        yield entry.at, f"{escaped(entry.text)}", _source(entry.event)
    yield from _revisions(material.revisions)


def _source(event: str) -> str:
    return f"running log, command {code(event)}" if event in COMMANDS else f"running log, {code(event)}"


def _deployments(material: Material) -> Iterator[Line]:
    """The deployments that the running log does not tell already."""
    logged = [(entry.at, entry.text) for entry in material.incident.log if entry.event in ("deployment", "rollback")]
    for each in material.deployments:
        if not any(at == each.timestamp and each.deployment_id in text for at, text in logged):
            yield (
                each.timestamp,
                f"{escaped(describe_change(each))} was deployed{_touched(each)}.",
                f"deployment {code(each.deployment_id)}",
            )


def _touched(deployment: Deployment) -> str:
    if deployment.subject is not None:
        return ""
    scopes = (("environment", deployment.environment), ("provider", deployment.provider))
    return " to all of " + " and ".join(f"{name} {code(value)}" for name, value in scopes if value)


def _revisions(revisions: Iterable[Incident]) -> Iterator[Line]:
    """What revisions changed that no line of their running log says."""
    for each in revisions:
        news = [part for part in each.change.split("; ") if part and _is_news(part, each)]
        if news:
            yield each.updated_at, escaped("; ".join(news)), f"revision {each.revision}"


def _is_news(part: str, incident: Incident) -> bool:
    if part in _NO_NEWS or part.startswith("new signal: ") or any(part in entry.text for entry in incident.log):
        return False
    events = {entry.event for entry in incident.log}
    return not any(part.endswith(end) and event in events for end, event in _SAID_BY_THE_LOG)
